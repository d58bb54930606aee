package main

import (
	"encoding/hex"
	"io"
	"strings"

	userspb "github.com/gravitational/teleport/api/gen/proto/go/teleport/users/v1"
	"github.com/gravitational/teleport/api/types"
	"google.golang.org/protobuf/proto"

	"okta-user-sync/tests/tools/peers/report"
)

// decode reads one message in hexadecimal.
func decode(kind string, from io.Reader) any {
	text, err := io.ReadAll(from)
	report.Must(err, "reading standard input")
	raw, err := hex.DecodeString(strings.TrimSpace(string(text)))
	report.Must(err, "reading hexadecimal")
	switch kind {
	case "user":
		var user types.UserV2
		report.Must(user.Unmarshal(raw), "decoding a user")
		return viewUser(&user)
	case "create":
		var request userspb.CreateUserRequest
		report.Must(proto.Unmarshal(raw, &request), "decoding a CreateUserRequest")
		return requested(&request, request.GetUser())
	case "update":
		var request userspb.UpdateUserRequest
		report.Must(proto.Unmarshal(raw, &request), "decoding an UpdateUserRequest")
		return requested(&request, request.GetUser())
	case "lock":
		var lock types.LockV2
		report.Must(lock.Unmarshal(raw), "decoding a lock")
		return viewLock(&lock)
	}
	report.Fail("there is no message %q", kind)
	return nil
}

func requested(request proto.Message, user *types.UserV2) userView {
	if user == nil {
		report.Fail("the request holds no user: it takes some servers down")
	}
	view := viewUser(user)
	view.Unknown += len(request.ProtoReflect().GetUnknown())
	return view
}
