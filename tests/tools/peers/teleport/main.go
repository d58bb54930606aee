// Command teleport talks to a cluster with Teleport's own Go API client, or reads messages with its generated types, and
// prints what it saw.
//
//	teleport talk <ready line>     logs in with the identity file and makes every call that a user sync makes
//	teleport look <ready line>     logs in and only reads: users, locks
//	teleport decode user|create|update|lock     reads one message in hexadecimal from standard input
package main

import (
	"context"
	"os"
	"time"

	"github.com/gravitational/teleport/api/client"

	"okta-user-sync/tests/tools/peers/report"
)

type ready struct {
	AuthAddress  string `json:"authAddress"`
	IdentityFile string `json:"identityFile"`
	Connector    string `json:"connector"`
}

func main() {
	if len(os.Args) != 3 {
		report.Fail("usage: teleport talk|look <ready line>, or teleport decode <message>")
	}
	if os.Args[1] == "decode" {
		report.Print(decode(os.Args[2], os.Stdin))
		return
	}
	var cluster ready
	report.Ready(os.Args[2], &cluster)
	ctx, done := context.WithTimeout(context.Background(), time.Minute)
	defer done()
	c, err := client.New(ctx, client.Config{
		Addrs:       []string{cluster.AuthAddress},
		Credentials: []client.Credentials{client.LoadIdentityFile(cluster.IdentityFile)},
	})
	report.Must(err, "logging in")
	defer c.Close()
	switch os.Args[1] {
	case "talk":
		report.Print(talk(ctx, c, cluster.Connector))
	case "look":
		report.Print(look(ctx, c))
	default:
		report.Fail("there is no %q", os.Args[1])
	}
}
