// Package report holds what both commands share: how a ready line is read, how a finding is printed, how a surprise ends.
package report

import (
	"encoding/json"
	"fmt"
	"os"
)

// Ready reads a simulator's ready line, given as an argument.
func Ready(line string, into any) {
	Must(json.Unmarshal([]byte(line), into), "reading the ready line")
}

// Print writes what was seen as one JSON document.
func Print(seen any) {
	Must(json.NewEncoder(os.Stdout).Encode(seen), "writing what was seen")
}

// Must ends the program if something that had to work did not.
func Must(err error, doing string) {
	if err != nil {
		Fail("%s: %v", doing, err)
	}
}

// Fail ends the program with a message.
func Fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
	os.Exit(1)
}
