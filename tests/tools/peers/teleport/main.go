// Command teleport talks to a cluster with Teleport's own Go API client, or reads messages with its generated types, and
// prints what it saw.
//
//	teleport talk <ready line>     logs in with the identity file and makes every call that a user sync makes
//	teleport look <ready line>     logs in and only reads: users, locks
//	teleport decode user|create|update|lock     reads one message in hexadecimal from standard input
//	teleport decode whole|CreateUser|…          the same, with every field: a user, or the request of that call
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
	Cluster      string `json:"cluster"`
	// ProxyAddress, if given, is where to log in instead, by TLS routing.
	ProxyAddress string `json:"proxyAddress"`
	// Behind says that a balancer stands before the proxy and takes protocol names away.
	Behind bool `json:"behind"`
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
	c, err := client.New(ctx, way(cluster))
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

// way is how to log in: straight to the Auth Service, or through the proxy.
func way(cluster ready) client.Config {
	config := client.Config{
		Addrs:       []string{cluster.AuthAddress},
		Credentials: []client.Credentials{client.LoadIdentityFile(cluster.IdentityFile)},
	}
	if cluster.ProxyAddress != "" {
		config.Addrs = []string{cluster.ProxyAddress}
		config.ALPNSNIAuthDialClusterName = cluster.Cluster
		config.ALPNConnUpgradeRequired = cluster.Behind
		// The proxy's web side has a certificate of nobody that this machine trusts; the Auth Service behind it is
		// still held to the identity's authorities.
		config.InsecureAddressDiscovery = true
		// Otherwise the client tries every way that it knows; this one alone is meant.
		config.DialInBackground = true
	}
	return config
}
