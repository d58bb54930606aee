// Command sync is what a competent engineer writes in an afternoon instead of an operator: the people of an Okta app,
// read with Okta's own Go SDK, become Teleport users through Teleport's own Go API client.
//
//	sync <places>     one pass: who is missing is made, who differs is changed; nobody is ever removed
//
// places is {"okta": <ready line>, "teleport": <ready line>}. It prints what it saw and did. It has no guard, no lock, no
// budget: it is here to be measured beside the operator.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"sync"
	"time"

	userspb "github.com/gravitational/teleport/api/gen/proto/go/teleport/users/v1"

	"github.com/gravitational/teleport/api/client"
	"github.com/gravitational/teleport/api/types"
	"github.com/okta/okta-sdk-golang/v5/okta"

	"okta-user-sync/tests/tools/peers/report"
)

const (
	pageOfPeople = 500
	pageOfUsers  = 1000
	atOnce       = 8
)

type places struct {
	Okta struct {
		OrgURL string `json:"orgURL"`
		CaFile string `json:"caFile"`
		Ssws   string `json:"ssws"`
		AppID  string `json:"appID"`
	} `json:"okta"`
	Teleport struct {
		AuthAddress  string `json:"authAddress"`
		IdentityFile string `json:"identityFile"`
		Connector    string `json:"connector"`
	} `json:"teleport"`
}

type outcome struct {
	Seen   int `json:"seen"`
	Calls  int `json:"calls"`
	Writes int `json:"writes"`
}

func main() {
	if len(os.Args) != 2 {
		report.Fail("usage: sync <places>")
	}
	var at places
	report.Ready(os.Args[1], &at)
	ctx, done := context.WithTimeout(context.Background(), time.Hour)
	defer done()
	cluster, err := client.New(ctx, client.Config{
		Addrs:       []string{at.Teleport.AuthAddress},
		Credentials: []client.Credentials{client.LoadIdentityFile(at.Teleport.IdentityFile)},
	})
	report.Must(err, "logging in")
	defer cluster.Close()
	users := usersOf(ctx, cluster)
	var did outcome
	var work []func() error
	wanted, calls := people(ctx, at)
	did.Seen, did.Calls = len(wanted), calls
	for _, user := range wanted {
		there, found := users[user.GetName()]
		switch {
		case !found:
			user.SetCreatedBy(types.CreatedBy{
				User:      types.UserRef{Name: "sync"},
				Time:      time.Now().UTC(),
				Connector: &types.ConnectorRef{Type: "saml", ID: at.Teleport.Connector, Identity: user.GetName()},
			})
			work = append(work, func() error { _, err := cluster.CreateUser(ctx, user); return err })
		case !reflect.DeepEqual(there.GetTraits(), user.GetTraits()):
			there.SetTraits(user.GetTraits())
			work = append(work, func() error { _, err := cluster.UpdateUser(ctx, there); return err })
		}
	}
	did.Writes = len(work)
	carryOut(work)
	report.Print(did)
}

// usersOf is every user of the cluster by name.
func usersOf(ctx context.Context, c *client.Client) map[string]types.User {
	users := map[string]types.User{}
	request := &userspb.ListUsersRequest{PageSize: pageOfUsers}
	for {
		page, err := c.ListUsers(ctx, request)
		report.Must(err, "listing users")
		for _, user := range page.Users {
			users[user.GetName()] = user
		}
		if page.NextPageToken == "" {
			return users
		}
		request.PageToken = page.NextPageToken
	}
}

// people are the users that the people of the app should have, and how many calls it took to read them.
func people(ctx context.Context, at places) ([]types.User, int) {
	c := organisation(at)
	var wanted []types.User
	entries, answer, err := c.ApplicationUsersAPI.ListApplicationUsers(ctx, at.Okta.AppID).Limit(pageOfPeople).Expand("user").Execute()
	report.Must(err, "listing the app's people")
	for calls := 1; ; calls++ {
		for _, entry := range entries {
			wanted = append(wanted, user(&entry))
		}
		if !answer.HasNextPage() {
			return wanted, calls
		}
		entries = nil
		answer, err = answer.Next(&entries)
		report.Must(err, "following the next link")
	}
}

func organisation(at places) *okta.APIClient {
	ca, err := os.ReadFile(at.Okta.CaFile)
	report.Must(err, "reading the CA")
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		report.Fail("%s holds no certificate", at.Okta.CaFile)
	}
	config, err := okta.NewConfiguration(
		okta.WithOrgUrl(at.Okta.OrgURL),
		okta.WithToken(at.Okta.Ssws),
		okta.WithHttpClientPtr(&http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}),
		okta.WithCache(false),
	)
	report.Must(err, "configuring the SDK")
	address, err := url.Parse(at.Okta.OrgURL)
	report.Must(err, "parsing the org's address")
	// The SDK takes the host name alone; an org away from port 443 needs its port as well.
	config.Host = address.Host
	return okta.NewAPIClient(config)
}

// user is what an entry of the list becomes: every profile value a trait.
func user(entry *okta.AppUser) types.User {
	name := entry.Credentials.GetUserName()
	made, err := types.NewUser(name)
	report.Must(err, "making the user "+name)
	traits := map[string][]string{}
	if embedded, ok := entry.Embedded["user"]; ok {
		if profile, ok := embedded["profile"].(map[string]any); ok {
			put(traits, profile)
		}
	}
	put(traits, entry.GetProfile())
	made.SetTraits(traits)
	made.SetRoles([]string{"okta-requester"})
	metadata := made.GetMetadata()
	metadata.Labels = map[string]string{"okta/user-id": entry.GetId()}
	made.SetMetadata(metadata)
	return made
}

func put(traits map[string][]string, profile map[string]any) {
	for key, value := range profile {
		if values := texts(value); len(values) > 0 {
			traits["okta/"+key] = values
		}
	}
}

func texts(value any) []string {
	switch value := value.(type) {
	case nil:
		return nil
	case string:
		if value == "" {
			return nil
		}
		return []string{value}
	case []any:
		var all []string
		for _, one := range value {
			all = append(all, texts(one)...)
		}
		return all
	case map[string]any:
		text, err := json.Marshal(value)
		report.Must(err, "writing a nested value")
		return []string{string(text)}
	default:
		return []string{fmt.Sprint(value)}
	}
}

// carryOut runs all of it, a few at a time.
func carryOut(work []func() error) {
	queue := make(chan func() error)
	var workers sync.WaitGroup
	for range atOnce {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for one := range queue {
				report.Must(one(), "writing a user")
			}
		}()
	}
	for _, one := range work {
		queue <- one
	}
	close(queue)
	workers.Wait()
}
