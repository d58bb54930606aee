//! The filter language of `search` and `filter` (a part of SCIM's, RFC 7644 §3.4.2.2, with the vendor's limits).

use serde_json::Value;

use crate::clock::Stamp;
use crate::refusal::Refusal;

/// A parsed filter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Filter {
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Box<Filter>),
    /// Attribute, operator, value.
    Compare(String, Operator, Value),
    /// The attribute has a value.
    Present(String),
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Eq,
    Ne,
    Co,
    Sw,
    Ew,
    Gt,
    Ge,
    Lt,
    Le,
}

/// What one kind of filter may say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dialect {
    /// Upper and lower case count in values.
    pub case_sensitive: bool,
    /// `ne` and `not` are understood.
    pub negation: bool,
    /// Whether an operator may be used on an attribute.
    pub allows: fn(&str, Operator) -> bool,
}

/// Reads a filter.
pub(crate) fn parse(text: &str, dialect: Dialect) -> Result<Filter, Refusal> {
    let tokens = tokens(text)?;
    let mut reader = Reader { tokens: &tokens, at: 0, dialect };
    let filter = reader.either()?;
    if reader.at == tokens.len() {
        Ok(filter)
    } else {
        Err(Refusal::search(format!("unexpected text after position {}", reader.at)))
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Open,
    Close,
    Word(String),
    Value(Value),
}

fn tokens(text: &str) -> Result<Vec<Token>, Refusal> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let taken = match first {
            '(' => {
                out.push(Token::Open);
                1
            }
            ')' => {
                out.push(Token::Close);
                1
            }
            '"' => {
                let length = quoted(rest).ok_or_else(|| Refusal::search("a quote is not closed"))?;
                let value = serde_json::from_str(&rest[..length])
                    .map_err(|_| Refusal::search("a quoted value cannot be read"))?;
                out.push(Token::Value(value));
                length
            }
            _ => {
                let length = rest.find([' ', '(', ')', '"']).unwrap_or(rest.len());
                out.push(word(&rest[..length]));
                length
            }
        };
        rest = rest[taken..].trim_start();
    }
    Ok(out)
}

/// Length of the quoted text at the start of `text`, quotes included.
fn quoted(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn word(text: &str) -> Token {
    match serde_json::from_str::<Value>(text) {
        Ok(value @ (Value::Number(_) | Value::Bool(_))) => Token::Value(value),
        _ => Token::Word(text.to_owned()),
    }
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    dialect: Dialect,
}

impl Reader<'_> {
    fn keyword(&mut self, word: &str) -> bool {
        let found = matches!(self.tokens.get(self.at), Some(Token::Word(w)) if w.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    fn either(&mut self) -> Result<Filter, Refusal> {
        let mut parts = vec![self.both()?];
        while self.keyword("or") {
            parts.push(self.both()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Filter::Or(parts) })
    }

    fn both(&mut self) -> Result<Filter, Refusal> {
        let mut parts = vec![self.one()?];
        while self.keyword("and") {
            parts.push(self.one()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Filter::And(parts) })
    }

    fn one(&mut self) -> Result<Filter, Refusal> {
        if self.dialect.negation && self.keyword("not") {
            return Ok(Filter::Not(Box::new(self.one()?)));
        }
        match self.next() {
            Some(Token::Open) => {
                let inner = self.either()?;
                match self.next() {
                    Some(Token::Close) => Ok(inner),
                    _ => Err(Refusal::search("a parenthesis is not closed")),
                }
            }
            Some(Token::Word(attribute)) => self.comparison(attribute),
            _ => Err(Refusal::search("an attribute name is expected")),
        }
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn comparison(&mut self, attribute: String) -> Result<Filter, Refusal> {
        let Some(Token::Word(word)) = self.next() else {
            return Err(Refusal::search("an operator is expected"));
        };
        let operator = match word.to_ascii_lowercase().as_str() {
            "pr" => return Ok(Filter::Present(attribute)),
            "eq" => Operator::Eq,
            "ne" if self.dialect.negation => Operator::Ne,
            "co" => Operator::Co,
            "sw" => Operator::Sw,
            "ew" => Operator::Ew,
            "gt" => Operator::Gt,
            "ge" => Operator::Ge,
            "lt" => Operator::Lt,
            "le" => Operator::Le,
            other => return Err(Refusal::search(format!("the operator {other} is not supported"))),
        };
        if !(self.dialect.allows)(&attribute, operator) {
            return Err(Refusal::search(format!("{attribute} cannot be used with {word}")));
        }
        match self.next() {
            Some(Token::Value(value)) => Ok(Filter::Compare(attribute, operator, value)),
            _ => Err(Refusal::search("a value is expected")),
        }
    }
}

impl Filter {
    /// Whether an object fits. `values` answers an attribute's values, none for an attribute that is not there.
    pub fn fits(&self, dialect: Dialect, values: &dyn Fn(&str) -> Vec<Value>) -> bool {
        match self {
            Self::And(parts) => parts.iter().all(|part| part.fits(dialect, values)),
            Self::Or(parts) => parts.iter().any(|part| part.fits(dialect, values)),
            Self::Not(part) => !part.fits(dialect, values),
            Self::Present(attribute) => values(attribute).iter().any(|v| !v.is_null()),
            Self::Compare(attribute, Operator::Ne, wanted) => {
                !values(attribute).iter().any(|v| compare(v, Operator::Eq, wanted, dialect))
            }
            Self::Compare(attribute, operator, wanted) => {
                values(attribute).iter().any(|v| compare(v, *operator, wanted, dialect))
            }
        }
    }

    /// The attributes that the filter looks at.
    pub fn attributes(&self) -> Vec<&str> {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().flat_map(Self::attributes).collect(),
            Self::Not(part) => part.attributes(),
            Self::Compare(attribute, _, _) | Self::Present(attribute) => vec![attribute],
        }
    }
}

fn compare(value: &Value, operator: Operator, wanted: &Value, dialect: Dialect) -> bool {
    use std::cmp::Ordering;
    let (Value::String(have), Value::String(want)) = (value, wanted) else {
        let order = match (value.as_f64(), wanted.as_f64()) {
            (Some(have), Some(want)) => have.partial_cmp(&want),
            _ => (value == wanted).then_some(Ordering::Equal),
        };
        return order.is_some_and(|order| ordered(order, operator));
    };
    if let (Some(have), Some(want)) = (Stamp::parse(have), Stamp::parse(want)) {
        return ordered(have.cmp(&want), operator);
    }
    let (have, want) =
        if dialect.case_sensitive { (have.clone(), want.clone()) } else { (have.to_lowercase(), want.to_lowercase()) };
    match operator {
        Operator::Co => have.contains(&want),
        Operator::Sw => have.starts_with(&want),
        Operator::Ew => have.ends_with(&want),
        other => ordered(have.cmp(&want), other),
    }
}

fn ordered(order: std::cmp::Ordering, operator: Operator) -> bool {
    match operator {
        Operator::Eq => order.is_eq(),
        Operator::Gt => order.is_gt(),
        Operator::Ge => order.is_ge(),
        Operator::Lt => order.is_lt(),
        Operator::Le => order.is_le(),
        Operator::Ne | Operator::Co | Operator::Sw | Operator::Ew => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SEARCH: Dialect = Dialect { case_sensitive: false, negation: false, allows: |_, _| true };

    fn fits(text: &str) -> bool {
        let object = json!({
            "status": "SUSPENDED", "lastUpdated": "2026-01-02T00:00:00.000Z",
            "profile": { "level": 3, "teams": ["a", "b"], "quote": "say \"hi\"" },
        });
        parse(text, SEARCH).unwrap().fits(SEARCH, &|path| match object.pointer(&format!("/{}", path.replace('.', "/")))
        {
            Some(Value::Array(list)) => list.clone(),
            Some(value) => vec![value.clone()],
            None => vec![],
        })
    }

    #[test]
    fn filters_mean_what_they_say() {
        assert!(fits(r#"status eq "suspended""#));
        assert!(fits(r#"status eq "ACTIVE" or status eq "SUSPENDED""#));
        assert!(!fits(r#"status eq "ACTIVE" and lastUpdated gt "2026-01-01T00:00:00.000Z""#));
        assert!(fits(r#"(status eq "ACTIVE" or profile.level ge 3) and profile.teams eq "b""#));
        assert!(fits(r#"lastUpdated gt "2026-01-01T00:00:00Z" and profile.level pr"#));
        assert!(fits(r#"profile.quote co "\"hi\"""#));
        assert!(!fits("profile.nothing pr"));
    }

    #[test]
    fn what_is_not_a_filter_is_refused() {
        for text in
            ["", "status", "status eq", "status ne \"a\"", "(status eq \"a\"", "status eq \"a", "status eq \"a\" x"]
        {
            assert!(parse(text, SEARCH).is_err(), "{text}");
        }
    }
}
