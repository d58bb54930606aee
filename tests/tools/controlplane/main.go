// Command controlplane is etcd and kube-apiserver in one binary: all of Kubernetes that a controller needs to be
// tried against the real thing on a machine without containers.
//
//	controlplane etcd <flags of etcd>
//	controlplane kube-apiserver <flags of kube-apiserver>
//
// It is built, started, watched and stopped by crates/testkit, which carries this source with it.
package main

import (
	"fmt"
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	switch server, flags := os.Args[1], os.Args[2:]; server {
	case "etcd":
		etcdmain.Main(append([]string{server}, flags...))
	case "kube-apiserver":
		command := app.NewAPIServerCommand()
		command.SetArgs(flags)
		os.Exit(cli.Run(command))
	default:
		usage()
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: controlplane etcd|kube-apiserver <flags>")
	os.Exit(2)
}
