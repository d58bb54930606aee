// Command okta talks to an org with Okta's own Go SDK and prints what it saw.
//
//	okta read <ready line>     with a private key: people of the app, a person, groups, log events
//	okta manage <ready line>   with an SSWS token: lifecycle of three people, an assignment, a refusal
//	okta refused <ready line>  with a private key: one page of the app's people, which has to be refused
package main

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/okta/okta-sdk-golang/v5/okta"

	"okta-user-sync/tests/tools/peers/report"
)

// pageSize is small, so that a few people make several pages.
const pageSize = 2

type ready struct {
	OrgURL         string `json:"orgURL"`
	CaFile         string `json:"caFile"`
	Ssws           string `json:"ssws"`
	ClientID       string `json:"clientID"`
	PrivateKeyFile string `json:"privateKeyFile"`
	AppID          string `json:"appID"`
}

func main() {
	if len(os.Args) != 3 {
		report.Fail("usage: okta read|manage|refused <ready line>")
	}
	var org ready
	report.Ready(os.Args[2], &org)
	ctx, done := context.WithTimeout(context.Background(), time.Minute)
	defer done()
	switch os.Args[1] {
	case "read":
		report.Print(read(ctx, client(org, withPrivateKey(org)...), org.AppID))
	case "manage":
		report.Print(manage(ctx, client(org, okta.WithToken(org.Ssws)), org.AppID))
	case "refused":
		report.Print(refused(ctx, client(org, withPrivateKey(org)...), org.AppID))
	default:
		report.Fail("there is no %q", os.Args[1])
	}
}

func client(org ready, credentials ...okta.ConfigSetter) *okta.APIClient {
	ca, err := os.ReadFile(org.CaFile)
	report.Must(err, "reading the CA")
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		report.Fail("%s holds no certificate", org.CaFile)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	settings := append([]okta.ConfigSetter{
		okta.WithOrgUrl(org.OrgURL),
		okta.WithHttpClientPtr(&http.Client{Transport: transport}),
		okta.WithCache(false),
		okta.WithRateLimitMaxRetries(0),
	}, credentials...)
	config, err := okta.NewConfiguration(settings...)
	report.Must(err, "configuring the SDK")
	address, err := url.Parse(org.OrgURL)
	report.Must(err, "parsing the org's address")
	// The SDK takes the host name alone; an org away from port 443 needs its port as well.
	config.Host = address.Host
	return okta.NewAPIClient(config)
}

func withPrivateKey(org ready) []okta.ConfigSetter {
	text, err := os.ReadFile(org.PrivateKeyFile)
	report.Must(err, "reading the private key")
	return []okta.ConfigSetter{
		okta.WithAuthorizationMode("PrivateKey"),
		okta.WithClientId(org.ClientID),
		okta.WithPrivateKey(string(text)),
		okta.WithPrivateKeyId(thumbprint(text)),
		okta.WithScopes([]string{"okta.apps.read", "okta.users.read", "okta.groups.read", "okta.logs.read"}),
	}
}

// thumbprint is the key id by RFC 7638: a digest of the public key's required members in alphabetical order.
func thumbprint(text []byte) string {
	block, _ := pem.Decode(text)
	if block == nil {
		report.Fail("the private key is not PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	report.Must(err, "parsing the private key")
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		report.Fail("the SDK wants an RSA key, not %T", parsed)
	}
	encode := base64.RawURLEncoding.EncodeToString
	exponent := encode(big.NewInt(int64(key.E)).Bytes())
	digest := sha256.Sum256([]byte(fmt.Sprintf(`{"e":%q,"kty":"RSA","n":%q}`, exponent, encode(key.N.Bytes()))))
	return encode(digest[:])
}

type person struct {
	ID       string `json:"id"`
	UserName string `json:"userName"`
	Status   string `json:"status"`
	Scope    string `json:"scope"`
	Login    string `json:"login"`
}

type group struct {
	Name    string   `json:"name"`
	Members []string `json:"members"`
}

type event struct {
	Type    string   `json:"type"`
	Outcome string   `json:"outcome"`
	Targets []string `json:"targets"`
}

type readings struct {
	People []person `json:"people"`
	Pages  int      `json:"pages"`
	First  person   `json:"first"`
	Groups []group  `json:"groups"`
	Events []event  `json:"events"`
	Nobody string   `json:"nobody"`
}

func read(ctx context.Context, c *okta.APIClient, app string) readings {
	var seen readings
	entries, answer, err := c.ApplicationUsersAPI.ListApplicationUsers(ctx, app).Limit(pageSize).Expand("user").Execute()
	must(err, "listing the app's users")
	for {
		seen.Pages++
		for _, entry := range entries {
			seen.People = append(seen.People, assigned(&entry))
		}
		if !answer.HasNextPage() {
			break
		}
		// A fresh list for each page: decoding into the old one would keep what a new entry leaves out.
		entries = nil
		answer, err = answer.Next(&entries)
		must(err, "following the next link")
	}
	if len(seen.People) == 0 {
		report.Fail("nobody is assigned to the app")
	}
	user, _, err := c.UserAPI.GetUser(ctx, seen.People[0].ID).Execute()
	must(err, "reading one person")
	seen.First = person{ID: user.GetId(), Status: user.GetStatus(), Login: user.Profile.GetLogin()}
	seen.Groups = groups(ctx, c)
	events, _, err := c.SystemLogAPI.ListLogEvents(ctx).Execute()
	must(err, "reading the System Log")
	seen.Events = []event{}
	for _, entry := range events {
		seen.Events = append(seen.Events, logged(&entry))
	}
	_, _, err = c.UserAPI.GetUser(ctx, "00uNobody").Execute()
	seen.Nobody = refusal(err, "reading a person who does not exist")
	return seen
}

type refusals struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Error  string `json:"error"`
}

// refused asks for the app's people and tells what the SDK makes of the refusal: the status, Okta's code where the answer has one,
// and the SDK's own words.
func refused(ctx context.Context, c *okta.APIClient, app string) refusals {
	_, answer, err := c.ApplicationUsersAPI.ListApplicationUsers(ctx, app).Limit(1).Execute()
	if err == nil {
		report.Fail("listing the app's users was not refused")
	}
	seen := refusals{Error: err.Error()}
	if answer != nil && answer.Response != nil {
		seen.Status = answer.StatusCode
	}
	var said *okta.GenericOpenAPIError
	var body struct{ ErrorCode string }
	if errors.As(err, &said) && json.Unmarshal(said.Body(), &body) == nil {
		seen.Code = body.ErrorCode
	}
	return seen
}

func assigned(entry *okta.AppUser) person {
	seen := person{
		ID: entry.GetId(), UserName: entry.Credentials.GetUserName(),
		Status: entry.GetStatus(), Scope: entry.GetScope(),
	}
	embedded, ok := entry.Embedded["user"]
	if !ok {
		report.Fail("the entry of %s came without its user", seen.ID)
	}
	text, err := json.Marshal(embedded)
	report.Must(err, "encoding the embedded user")
	var user struct {
		Profile struct{ Login string }
	}
	report.Must(json.Unmarshal(text, &user), "reading the embedded user")
	seen.Login = user.Profile.Login
	return seen
}

func groups(ctx context.Context, c *okta.APIClient) []group {
	listed, _, err := c.GroupAPI.ListGroups(ctx).Execute()
	must(err, "listing groups")
	var seen []group
	for _, entry := range listed {
		one := group{Name: entry.Profile.GetName(), Members: []string{}}
		members, _, err := c.GroupAPI.ListGroupUsers(ctx, entry.GetId()).Execute()
		must(err, "listing the members of "+one.Name)
		for _, member := range members {
			one.Members = append(one.Members, member.GetId())
		}
		seen = append(seen, one)
	}
	return seen
}

func logged(entry *okta.LogEvent) event {
	seen := event{Type: entry.GetEventType(), Outcome: entry.Outcome.GetResult(), Targets: []string{}}
	for _, target := range entry.Target {
		seen.Targets = append(seen.Targets, target.GetId())
	}
	return seen
}

type doings struct {
	Suspended      string `json:"suspended"`
	SuspendedAgain string `json:"suspendedAgain"`
	Returned       string `json:"returned"`
	Deactivated    string `json:"deactivated"`
	NoLongerInApp  string `json:"noLongerInApp"`
	Unassigned     string `json:"unassigned"`
	Reassigned     person `json:"reassigned"`
	Renamed        string `json:"renamed"`
}

// manage does to the first four people of the app what an administrator does, one thing to each.
func manage(ctx context.Context, c *okta.APIClient, app string) doings {
	entries, _, err := c.ApplicationUsersAPI.ListApplicationUsers(ctx, app).Execute()
	must(err, "listing the app's users")
	if len(entries) < 4 {
		report.Fail("four people are needed, and there are %d", len(entries))
	}
	var done doings
	done.Suspended = entries[0].GetId()
	_, err = c.UserAPI.SuspendUser(ctx, done.Suspended).Execute()
	must(err, "suspending")
	_, err = c.UserAPI.SuspendUser(ctx, done.Suspended).Execute()
	done.SuspendedAgain = refusal(err, "suspending twice")

	done.Returned = entries[1].GetId()
	_, err = c.UserAPI.SuspendUser(ctx, done.Returned).Execute()
	must(err, "suspending")
	_, err = c.UserAPI.UnsuspendUser(ctx, done.Returned).Execute()
	must(err, "unsuspending")

	done.Deactivated = entries[2].GetId()
	_, err = c.UserAPI.DeactivateUser(ctx, done.Deactivated).Execute()
	must(err, "deactivating")
	_, _, err = c.ApplicationUsersAPI.GetApplicationUser(ctx, app, done.Deactivated).Execute()
	done.NoLongerInApp = refusal(err, "reading the assignment of somebody deactivated")

	done.Unassigned = entries[3].GetId()
	_, err = c.ApplicationUsersAPI.UnassignUserFromApplication(ctx, app, done.Unassigned).Execute()
	must(err, "unassigning")

	done.Reassigned, done.Renamed = reassign(ctx, c, app, done.Returned)
	return done
}

// reassign takes somebody out of the app, brings them back and gives them another name in it.
func reassign(ctx context.Context, c *okta.APIClient, app, id string) (person, string) {
	_, err := c.ApplicationUsersAPI.UnassignUserFromApplication(ctx, app, id).Execute()
	must(err, "unassigning")
	request := okta.AppUserAssignRequest{Id: id}
	entry, _, err := c.ApplicationUsersAPI.AssignUserToApplication(ctx, app).AppUser(request).Execute()
	must(err, "assigning")
	back := person{
		ID: entry.GetId(), UserName: entry.Credentials.GetUserName(),
		Status: entry.GetStatus(), Scope: entry.GetScope(),
	}
	name := "renamed@example.com"
	credentials := okta.AppUserCredentialsRequestPayload{Credentials: &okta.AppUserCredentials{UserName: &name}}
	change := okta.AppUserUpdateRequest{AppUserCredentialsRequestPayload: &credentials}
	entry, _, err = c.ApplicationUsersAPI.UpdateApplicationUser(ctx, app, id).AppUser(change).Execute()
	must(err, "renaming")
	return back, entry.Credentials.GetUserName()
}

// must is report.Must with what the server said.
func must(err error, doing string) {
	var refused *okta.GenericOpenAPIError
	if errors.As(err, &refused) {
		report.Fail("%s: %v: %s", doing, err, refused.Body())
	}
	report.Must(err, doing)
}

// refusal is the error code of an answer that has to be a refusal.
func refusal(err error, doing string) string {
	if err == nil {
		report.Fail("%s was not refused", doing)
	}
	var refused *okta.GenericOpenAPIError
	if !errors.As(err, &refused) {
		report.Fail("%s: not an answer of the API: %v", doing, err)
	}
	var body struct{ ErrorCode string }
	report.Must(json.Unmarshal(refused.Body(), &body), "decoding a refusal: "+string(refused.Body()))
	return body.ErrorCode
}
