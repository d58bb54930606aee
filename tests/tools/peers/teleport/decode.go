package main

import (
	"encoding/hex"
	"io"
	"strings"

	authpb "github.com/gravitational/teleport/api/client/proto"
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
	case "whole":
		var user types.UserV2
		report.Must(user.Unmarshal(raw), "decoding a user")
		return whole{Fields: &user, Unknown: unknown(&user)}
	}
	if read, ok := requests[kind]; ok {
		return read(raw)
	}
	report.Fail("there is no message %q", kind)
	return nil
}

// whole is a message with every field that it has, under the names that Teleport's own JSON gives them.
type whole struct {
	Fields  any `json:"fields"`
	Unknown int `json:"unknown"`
}

// requests reads the request of each call, by the call's name.
var requests = map[string]func([]byte) whole{
	"Ping":               old[authpb.PingRequest],
	"GetCurrentUser":     old[emptypb],
	"GetLocks":           old[authpb.GetLocksRequest],
	"UpsertLock":         old[types.LockV2],
	"DeleteLock":         old[authpb.DeleteLockRequest],
	"ListRoles":          old[authpb.ListRolesRequest],
	"GetRoles":           old[emptypb],
	"GetSAMLConnector":   old[types.ResourceWithSecretsRequest],
	"GetSAMLConnectors":  old[types.ResourcesWithSecretsRequest],
	"GenerateUserCerts":  old[authpb.UserCertsRequest],
	"GetClusterCACert":   old[emptypb],
	"RegisterUsingToken": old[types.RegisterUsingTokenRequest],
	"ListUsers":          read[userspb.ListUsersRequest],
	"GetUser":            read[userspb.GetUserRequest],
	"CreateUser":         read[userspb.CreateUserRequest],
	"UpdateUser":         read[userspb.UpdateUserRequest],
	"DeleteUser":         read[userspb.DeleteUserRequest],
}

// old reads a message of the older generator.
func old[T any, P interface {
	*T
	Unmarshal([]byte) error
}](raw []byte) whole {
	message := P(new(T))
	report.Must(message.Unmarshal(raw), "decoding a request")
	return whole{Fields: message, Unknown: unknown(message)}
}

// read reads a message of the newer generator.
func read[T any, P interface {
	*T
	proto.Message
}](raw []byte) whole {
	message := P(new(T))
	report.Must(proto.Unmarshal(raw, message), "decoding a request")
	return whole{Fields: message, Unknown: unknown(message) + len(message.ProtoReflect().GetUnknown())}
}

// emptypb is a message without a field: every byte of it is unknown.
type emptypb struct {
	XXX_unrecognized []byte
}

func (m *emptypb) Unmarshal(raw []byte) error {
	m.XXX_unrecognized = raw
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
