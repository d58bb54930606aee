"""Okta's own Python SDK as a command: reads an organisation with a private key and prints what it saw, as one line of JSON.

Usage: read.py READY [dpop]
READY is the line that okta-sim prints, with the key's id as `kid`; with `dpop` the SDK proves possession of a key (RFC 9449).
The certificate authority to trust is named by SSL_CERT_FILE.
"""

import asyncio
import json
import logging
import sys

from okta.client import Client
from okta.pagination import PaginationHelper


async def all_pages(call, limit, **parameters):
    """Every entry of a list, and the number of its pages, by the cursor of each `next` link."""
    entries, pages, after = [], 0, None
    while True:
        if after:
            parameters["after"] = after
        page, response, error = await call(limit=limit, **parameters)
        if error:
            raise RuntimeError(f"{call.__name__}: {error}")
        entries, pages = entries + (page or []), pages + 1
        after = PaginationHelper.extract_next_cursor(response.headers)
        if not after:
            return entries, pages


def word(value):
    """A status, which may come as a word or as a member of an enumeration."""
    return getattr(value, "value", value)


async def read(ready, dpop):
    with open(ready["privateKeyFile"], encoding="ascii") as file:
        key = file.read()
    settings = {
        "orgUrl": ready["orgURL"],
        "authorizationMode": "PrivateKey",
        "clientId": ready["clientID"],
        "scopes": ["okta.apps.read", "okta.users.read", "okta.groups.read", "okta.logs.read"],
        "privateKey": key,
        "kid": ready["kid"],
        "dpopEnabled": dpop,
        "cache": {"enabled": False},
    }
    client = Client(settings)
    app = ready["appID"]
    people, pages = await all_pages(client.list_application_users, 2, app_id=app, expand="user")
    users, _ = await all_pages(client.list_users, 200)
    groups, _ = await all_pages(client.list_groups, 200)
    everyone = next(group.id for group in groups if group.profile.actual_instance.name == "Everyone")
    members, _ = await all_pages(client.list_group_users, 2, group_id=everyone)
    first, _, error = await client.get_user(people[0].id)
    if error:
        raise RuntimeError(f"get_user: {error}")
    _, _, nobody = await client.get_user("00uNobodyOfThatId0d7")
    # The SDK gives no error for a refusal without a body; what Okta says is in the header.
    _, forbidden, _ = await client.deactivate_user(people[0].id)
    events, _, error = await client.list_log_events(limit=1000)
    if error:
        raise RuntimeError(f"list_log_events: {error}")
    return {
        "people": [
            {
                "id": one.id,
                "userName": one.credentials.user_name,
                "status": word(one.status),
                "scope": word(one.scope),
                "login": one.embedded["user"]["profile"]["login"],
            }
            for one in people
        ],
        "pages": pages,
        "users": [user.id for user in users],
        "groups": [group.profile.actual_instance.name for group in groups],
        "members": [member.id for member in members],
        "first": {"id": first.id, "status": word(first.status), "login": first.profile.login},
        "nobody": nobody.error_code,
        "forbidden": [forbidden.status_code, forbidden.headers["WWW-Authenticate"]],
        "events": [
            {"type": event.event_type, "targets": [target.id for target in event.target or []]} for event in events
        ],
    }


def main():
    logging.disable(logging.CRITICAL)
    ready = json.loads(sys.argv[1])
    print(json.dumps(asyncio.run(read(ready, sys.argv[2:] == ["dpop"]))))


if __name__ == "__main__":
    main()
