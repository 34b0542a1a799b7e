"""The tour of the API with a client that openapi-python-client made of the document: nothing here knows a path or a JSON member."""

import os
import time
import uuid

from hub_client import AuthenticatedClient, Client
from hub_client.api.changes import get_changes
from hub_client.api.patients import get_patients, get_patients_by_id
from hub_client.api.results import get_orders_by_id, post_orders, post_orders_by_id_cancel
from hub_client.api.sign_in import get_me, post_auth_login
from hub_client.api.users import get_users_by_id, patch_users_by_id, post_users
from hub_client.models import Cancellation, Code, Login, NewOrder, NewUser, Problem, Tokens, Tube, UserChange

BASE = "http://" + os.environ["HUB_API_ADDR"]
PATIENT = "SGM100001"


def step(name, holds, shown=""):
    print(f"{'ok  ' if holds else 'FAIL'} {name} {shown}", flush=True)
    if not holds:
        raise SystemExit(1)


stranger = Client(base_url=BASE)
refused = post_auth_login.sync(client=stranger, body=Login(username="admin", password="a guess"))
step("a wrong password is a problem with a code", isinstance(refused, Problem), refused.code)
tokens = post_auth_login.sync(client=stranger, body=Login(username="admin", password=os.environ["HUB_PASSWORD"]))
step("sign in", isinstance(tokens, Tokens))
client = AuthenticatedClient(base_url=BASE, token=tokens.access_token)
step("who am I", get_me.sync(client=client).username == "admin")
begin = get_changes.sync(client=client).position

page = get_patients.sync(client=client, identifier=PATIENT)
step("find a patient", len(page.items) == 1)
patient = get_patients_by_id.sync(page.items[0].id, client=client)
step("read the patient", patient.id == page.items[0].id)
first = get_patients.sync(client=client, limit=1)
second = get_patients.sync(client=client, limit=1, cursor=first.next_cursor)
step("the next page goes on", second.items[0].id != first.items[0].id)

number = "TOUR-" + uuid.uuid4().hex[:8]
order = NewOrder(
    patient_identifier=PATIENT,
    code=Code(code="2345-7", system="LN", text="Glucose"),
    specimen=Tube(number=number),
)
key = str(uuid.uuid4())
placed = [post_orders.sync_detailed(client=client, body=order, idempotency_key=key) for _ in range(2)]
step("order a test", placed[0].status_code == 201, placed[0].parsed.id)
step("the same key gives the same answer", placed[1].content == placed[0].content)
step("and says so", placed[1].headers["idempotent-replayed"] == "true")
order.notes = ["another body"]
reused = post_orders.sync(client=client, body=order, idempotency_key=key)
step("another body under the key is refused", reused.code == "idempotency.reused")
read = get_orders_by_id.sync(placed[0].parsed.id, client=client)
step("read the order", read.specimens[0].number == number, read.status)
why = Cancellation(reason="the tour is over")
cancelled = post_orders_by_id_cancel.sync(placed[0].parsed.id, client=client, body=why)
step("cancel the order", cancelled.state == "applied")
again = post_orders_by_id_cancel.sync(placed[0].parsed.id, client=client, body=why)
step("a second time it is closed", again.code == "clinical.order_closed")

made = post_users.sync(client=client, body=NewUser(username="tour." + uuid.uuid4().hex[:8], display_name="On Tour"))
user = get_users_by_id.sync_detailed(made.id, client=client)
tag = user.headers["etag"]
change = UserChange(display_name="Has Toured")
changed = patch_users_by_id.sync_detailed(made.id, client=client, body=change, if_match=tag)
step("change a user that was read", changed.status_code == 200)
stale = patch_users_by_id.sync_detailed(made.id, client=client, body=change, if_match=tag)
step("what was read is old now", stale.status_code == 412, stale.parsed.code)

# what changed is published a moment after it is answered
seen, since = [], begin
for _ in range(100):
    news = get_changes.sync(client=client, since=since, topics="orders")
    seen += news.items
    since = news.position
    if len(seen) >= 2:
        break
    time.sleep(0.1)
ids = {change.id for change in seen}
step("what changed names the order", str(placed[0].parsed.id) in ids, f"{len(seen)} changes")
