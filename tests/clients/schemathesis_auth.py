"""Signs schemathesis in, and again before the token (15 minutes) runs out."""

import os

import requests
import schemathesis


@schemathesis.auth(refresh_interval=600)
class SignedIn:
    def get(self, case, ctx):
        base = "http://" + os.environ["HUB_API_ADDR"]
        body = {"username": "admin", "password": os.environ["HUB_PASSWORD"]}
        answer = requests.post(base + "/api/v1/auth/login", json=body, timeout=20)
        answer.raise_for_status()
        return answer.json()["access_token"]

    def set(self, case, data, ctx):
        case.headers = case.headers or {}
        case.headers["Authorization"] = "Bearer " + data
