//! Numbers of one resource, held so that they take little more than themselves: a resource has some forty of them, and a
//! cluster may have hundreds of resources.

use std::fmt;

use prometheus_client::{
    encoding::{EncodeLabelSet, MetricEncoder, NoLabelSet},
    metrics::MetricType,
};

use super::label::{Of, Resource};

/// A number that a metric shows.
pub(super) trait Number: Copy + Default {
    /// The type of its metric.
    const TYPE: MetricType;

    fn encode(self, encoder: MetricEncoder<'_>) -> fmt::Result;
}

/// What only grows is counted without a sign.
impl Number for u64 {
    const TYPE: MetricType = MetricType::Counter;

    fn encode(self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        encoder.encode_counter::<NoLabelSet, _, Self>(&self, None)
    }
}

impl Number for i64 {
    const TYPE: MetricType = MetricType::Gauge;

    fn encode(self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        encoder.encode_gauge(&self)
    }
}

/// Seconds.
impl Number for f64 {
    const TYPE: MetricType = MetricType::Gauge;

    fn encode(self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        encoder.encode_gauge(&self)
    }
}

/// What one metric shows of one resource.
pub(super) trait Series {
    /// The type of the metric.
    const TYPE: MetricType;

    fn is_empty(&self) -> bool;

    fn encode(&self, of: &Resource, encoder: &mut MetricEncoder<'_>) -> fmt::Result;
}

/// One number, once it is known.
impl<N: Number> Series for Option<N> {
    const TYPE: MetricType = N::TYPE;

    fn is_empty(&self) -> bool {
        self.is_none()
    }

    fn encode(&self, of: &Resource, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        let Some(number) = self else { return Ok(()) };
        number.encode(encoder.encode_family(of)?)
    }
}

/// A number for each of a few words, in the order in which they came.
#[derive(Debug)]
pub(super) struct Several<W, N>(Box<[(W, N)]>);

impl<W, N> Default for Several<W, N> {
    fn default() -> Self {
        Self(Box::default())
    }
}

impl<W: PartialEq, N: Number> Several<W, N> {
    /// The number of those words.
    pub(super) fn of(&mut self, words: W) -> &mut N {
        let known = self.0.iter().position(|(have, _)| *have == words);
        let at = known.unwrap_or_else(|| {
            let mut all = std::mem::take(&mut self.0).into_vec();
            // Words come seldom and stay, so room for more of them would be kept for nothing.
            all.reserve_exact(1);
            all.push((words, N::default()));
            self.0 = all.into_boxed_slice();
            self.0.len() - 1
        });
        &mut self.0[at].1
    }
}

impl<W: EncodeLabelSet, N: Number> Series for Several<W, N> {
    const TYPE: MetricType = N::TYPE;

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn encode(&self, of: &Resource, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        for (words, number) in &self.0 {
            number.encode(encoder.encode_family(&Of { resource: of, words })?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
impl<W, N> Several<W, N> {
    /// How many numbers these are, and what they take.
    pub(super) fn measure(&self) -> (usize, usize) {
        (self.0.len(), size_of_val(&*self.0))
    }
}
