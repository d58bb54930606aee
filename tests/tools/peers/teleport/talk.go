package main

import (
	"context"
	"time"

	"github.com/gravitational/teleport/api/client"
	"github.com/gravitational/teleport/api/client/proto"
	userspb "github.com/gravitational/teleport/api/gen/proto/go/teleport/users/v1"
	"github.com/gravitational/teleport/api/types"
	"github.com/gravitational/trace"

	"okta-user-sync/tests/tools/peers/report"
)

const (
	guest    = "guest@example.com"
	lockName = "peer-lock"
	// pageSize is small, so that a few users make several pages.
	pageSize = 2
)

// sight is what a look around shows.
type sight struct {
	Users []userView `json:"users"`
	Pages int        `json:"pages"`
	Locks []lockView `json:"locks"`
}

func look(ctx context.Context, c *client.Client) sight {
	seen := sight{Users: []userView{}, Locks: []lockView{}}
	request := &userspb.ListUsersRequest{PageSize: pageSize}
	for {
		page, err := c.ListUsers(ctx, request)
		report.Must(err, "listing users")
		seen.Pages++
		for _, user := range page.Users {
			seen.Users = append(seen.Users, viewUser(user))
		}
		if page.NextPageToken == "" {
			break
		}
		request.PageToken = page.NextPageToken
	}
	locks, err := c.GetLocks(ctx, true)
	report.Must(err, "listing locks")
	for _, lock := range locks {
		seen.Locks = append(seen.Locks, viewLock(lock))
	}
	return seen
}

// conversation is what every call answered, in the order of the calls.
type conversation struct {
	Cluster     string    `json:"cluster"`
	Version     string    `json:"version"`
	Me          userView  `json:"me"`
	Sight       sight     `json:"sight"`
	Roles       []string  `json:"roles"`
	ListedRoles []string  `json:"listedRoles"`
	Connector   connector `json:"connector"`
	Created     userView  `json:"created"`
	Twice       string    `json:"twice"`
	NoSuchRole  string    `json:"noSuchRole"`
	Updated     userView  `json:"updated"`
	Stale       string    `json:"stale"`
	Stored      lockView  `json:"stored"`
	Enforced    lockView  `json:"enforced"`
	Unlocked    string    `json:"unlocked"`
	Deleted     string    `json:"deleted"`
	DeletedOnce string    `json:"deletedOnce"`
}

type connector struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels"`
}

func talk(ctx context.Context, c *client.Client, connectorName string) conversation {
	var seen conversation
	ping, err := c.Ping(ctx)
	report.Must(err, "ping")
	seen.Cluster, seen.Version = ping.ClusterName, ping.ServerVersion
	me, err := c.GetCurrentUser(ctx)
	report.Must(err, "asking who I am")
	seen.Me = viewUser(me)
	seen.Sight = look(ctx, c)
	seen.rolesAndConnector(ctx, c, connectorName)
	seen.writeUser(ctx, c, connectorName)
	seen.lockUser(ctx, c)
	report.Must(c.DeleteUser(ctx, guest), "deleting the user")
	seen.Deleted = gone(ctx, func() error {
		_, err := c.GetUser(ctx, guest, false)
		return err
	})
	seen.DeletedOnce = kindOf(c.DeleteUser(ctx, guest), "deleting the user twice")
	return seen
}

func (seen *conversation) rolesAndConnector(ctx context.Context, c *client.Client, name string) {
	roles, err := c.GetRoles(ctx)
	report.Must(err, "getting roles")
	for _, role := range roles {
		seen.Roles = append(seen.Roles, role.GetName())
	}
	request := &proto.ListRolesRequest{Limit: pageSize}
	for {
		page, err := c.ListRoles(ctx, request)
		report.Must(err, "listing roles")
		for _, role := range page.Roles {
			seen.ListedRoles = append(seen.ListedRoles, role.GetName())
		}
		if page.NextKey == "" {
			break
		}
		request.StartKey = page.NextKey
	}
	saml, err := c.GetSAMLConnector(ctx, name, false)
	report.Must(err, "getting the connector")
	seen.Connector = connector{Name: saml.GetName(), Labels: saml.GetMetadata().Labels}
}

func (seen *conversation) writeUser(ctx context.Context, c *client.Client, connector string) {
	user, err := types.NewUser(guest)
	report.Must(err, "making a user")
	user.SetRoles([]string{"okta-requester"})
	user.SetTraits(map[string][]string{"okta/team": {"Tools"}})
	metadata := user.GetMetadata()
	metadata.Labels = map[string]string{"example.com/peer": "go"}
	user.SetMetadata(metadata)
	user.SetCreatedBy(types.CreatedBy{
		User:      types.UserRef{Name: "peer"},
		Time:      time.Now().UTC(),
		Connector: &types.ConnectorRef{Type: "saml", ID: connector, Identity: guest},
	})
	created, err := c.CreateUser(ctx, user)
	report.Must(err, "creating a user")
	seen.Created = viewUser(created)
	_, err = c.CreateUser(ctx, user)
	seen.Twice = kindOf(err, "creating a user twice")

	other, err := types.NewUser("other@example.com")
	report.Must(err, "making a user")
	other.SetRoles([]string{"no-such-role"})
	_, err = c.CreateUser(ctx, other)
	seen.NoSuchRole = kindOf(err, "giving a role that does not exist")

	stale, err := c.GetUser(ctx, guest, false)
	report.Must(err, "reading the user")
	created.SetTraits(map[string][]string{"okta/team": {"Toolmakers"}})
	updated, err := c.UpdateUser(ctx, created)
	report.Must(err, "updating the user")
	seen.Updated = viewUser(updated)
	_, err = c.UpdateUser(ctx, stale)
	seen.Stale = kindOf(err, "updating a revision that is gone")
}

func (seen *conversation) lockUser(ctx context.Context, c *client.Client) {
	until := time.Now().Add(time.Hour).UTC()
	lock, err := types.NewLock(lockName, types.LockSpecV2{
		Target: types.LockTarget{User: guest}, Message: "Gone for tea", Expires: &until,
	})
	report.Must(err, "making a lock")
	report.Must(c.UpsertLock(ctx, lock), "locking")
	stored, err := c.GetLock(ctx, lockName)
	report.Must(err, "reading the lock")
	seen.Stored = viewLock(stored)
	seen.Enforced = enforced(ctx, c)
	report.Must(c.DeleteLock(ctx, lockName), "unlocking")
	seen.Unlocked = gone(ctx, func() error {
		_, err := c.GetLock(ctx, lockName)
		return err
	})
}

// gone reads something deleted until it is refused: a server answers from its cache, which learns of a deletion a moment
// later.
func gone(ctx context.Context, read func() error) string {
	for {
		if err := read(); err != nil {
			return kindOf(err, "reading what was deleted")
		}
		pause(ctx, "what was deleted stayed")
	}
}

// enforced waits until the list of locks holds the lock: until then it is stored but not in force.
func enforced(ctx context.Context, c *client.Client) lockView {
	for {
		locks, err := c.GetLocks(ctx, true, types.LockTarget{User: guest})
		report.Must(err, "listing locks")
		for _, lock := range locks {
			if lock.GetName() == lockName {
				return viewLock(lock)
			}
		}
		pause(ctx, "the lock was never enforced")
	}
}

// pause waits for the next look, and ends the program when the time is up.
func pause(ctx context.Context, late string) {
	select {
	case <-ctx.Done():
		report.Fail("%s", late)
	case <-time.After(50 * time.Millisecond):
	}
}

// kindOf names an error, which there has to be, as Teleport's own tools tell errors apart.
func kindOf(err error, doing string) string {
	switch {
	case err == nil:
		report.Fail("%s was not refused", doing)
	case trace.IsNotFound(err):
		return "NotFound"
	case trace.IsAlreadyExists(err):
		return "AlreadyExists"
	case trace.IsCompareFailed(err):
		return "CompareFailed"
	case trace.IsAccessDenied(err):
		return "AccessDenied"
	case trace.IsBadParameter(err):
		return "BadParameter"
	}
	return err.Error()
}
