package main

import (
	"reflect"
	"time"

	"github.com/gravitational/teleport/api/types"
)

// userView is a user field by field.
type userView struct {
	Name      string              `json:"name"`
	Labels    map[string]string   `json:"labels"`
	Roles     []string            `json:"roles"`
	Traits    map[string][]string `json:"traits"`
	CreatedBy string              `json:"createdBy"`
	Connector *connectorView      `json:"connector"`
	Revision  string              `json:"revision"`
	Expires   string              `json:"expires"`
	Unknown   int                 `json:"unknown"`
}

type connectorView struct {
	Type     string `json:"type"`
	ID       string `json:"id"`
	Identity string `json:"identity"`
}

func viewUser(user types.User) userView {
	by := user.GetCreatedBy()
	view := userView{
		Name: user.GetName(), Labels: user.GetMetadata().Labels, Roles: user.GetRoles(), Traits: user.GetTraits(),
		CreatedBy: by.User.Name, Revision: user.GetRevision(), Expires: instant(user.Expiry()), Unknown: unknown(user),
	}
	if by.Connector != nil {
		view.Connector = &connectorView{Type: by.Connector.Type, ID: by.Connector.ID, Identity: by.Connector.Identity}
	}
	return view
}

// lockView is a lock field by field.
type lockView struct {
	Name           string            `json:"name"`
	Labels         map[string]string `json:"labels"`
	User           string            `json:"user"`
	Message        string            `json:"message"`
	Expires        string            `json:"expires"`
	StorageExpires string            `json:"storageExpires"`
	InForce        bool              `json:"inForce"`
	Unknown        int               `json:"unknown"`
}

func viewLock(lock types.Lock) lockView {
	view := lockView{
		Name: lock.GetName(), Labels: lock.GetMetadata().Labels, User: lock.Target().User, Message: lock.Message(),
		StorageExpires: instant(lock.Expiry()), InForce: lock.IsInForce(time.Now()), Unknown: unknown(lock),
	}
	if until := lock.LockExpiry(); until != nil {
		view.Expires = instant(*until)
	}
	return view
}

// instant is a time in RFC 3339, empty where there is none.
func instant(at time.Time) string {
	if at.IsZero() || at.Unix() == 0 {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}

// unknown counts the bytes of fields, at any depth, that the generated types do not know.
func unknown(message any) int {
	return unknownIn(reflect.ValueOf(message))
}

func unknownIn(value reflect.Value) int {
	count := 0
	switch value.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !value.IsNil() {
			count += unknownIn(value.Elem())
		}
	case reflect.Slice:
		for i := range value.Len() {
			count += unknownIn(value.Index(i))
		}
	case reflect.Map:
		for _, key := range value.MapKeys() {
			count += unknownIn(value.MapIndex(key))
		}
	case reflect.Struct:
		if _, ok := value.Interface().(time.Time); ok {
			return 0
		}
		for i := range value.NumField() {
			field := value.Type().Field(i)
			switch {
			case field.Name == "XXX_unrecognized":
				count += value.Field(i).Len()
			case field.IsExported():
				count += unknownIn(value.Field(i))
			}
		}
	}
	return count
}
