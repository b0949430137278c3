"""The service keeps to its own API description, whatever is sent."""

import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from .service import running

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PASSWORD = "correct horse battery staple"
# Everything schemathesis checks but two: "data that fits the schema is accepted" cannot hold for rules that a schema
# cannot say (two passwords agree, a tool exists), and those answer 422, as documented. "What was created can be found"
# does not hold for a repeated Idempotency-Key: its answer is the first one, also after what it made was deleted.
EXCLUDED = "positive_data_acceptance,ensure_resource_availability"


@pytest.mark.timeout(240)
def test_schemathesis_finds_no_5xx_no_undocumented_status_and_no_schema_violation(tmp_path, service_database_url):
    with running(tmp_path, DATABASE_URL=service_database_url, LOG_LEVEL="ERROR") as service:
        api = f"{service.url}/api/v1"
        person = {"email": "ada@example.com", "password": PASSWORD, "password_confirm": PASSWORD}
        httpx2.post(f"{api}/users", json=person, timeout=20).raise_for_status()
        form = {"username": "ada@example.com", "password": PASSWORD}
        token = httpx2.post(f"{api}/auth/login", data=form, timeout=20).json()["access_token"]

        command = [str(Path(sys.executable).parent / "schemathesis"), "run", f"{service.url}/openapi.json"]
        options = ["--exclude-checks", EXCLUDED, "--max-examples", "25", "--no-color", "--workers", "1"]
        header = ["--header", f"Authorization: Bearer {token}"]
        done = subprocess.run([*command, *options, *header], cwd=tmp_path, capture_output=True, text=True, check=False)

        assert done.returncode == 0, done.stdout[-9000:] + "".join(service.output)[-4000:]
