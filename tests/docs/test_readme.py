"""What the README shows works."""

import importlib.util
import re
from pathlib import Path

import httpx2

ROOT = Path(__file__).parents[2]


async def test_the_service_in_the_readme_registers_signs_in_and_greets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "greeter.py").write_text(code)
    spec = importlib.util.spec_from_file_location("greeter", tmp_path / "greeter.py")
    greeter = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(greeter)
    app = greeter.build()

    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://testserver") as client,
    ):
        password = "correct horse battery staple"
        person = {"email": "ada@example.com", "password": password, "password_confirm": password, "full_name": "Ada"}
        assert (await client.post("/api/v1/users", json=person)).status_code == 201
        form = {"username": "ada@example.com", "password": password}
        token = (await client.post("/api/v1/auth/login", data=form)).json()["access_token"]
        ada = {"authorization": f"Bearer {token}"}
        assert (await client.get("/api/v1/greetings/es", headers=ada)).json() == "Hola, Ada!"
        assert (await client.get("/api/v1/greetings/xx", headers=ada)).status_code == 404
        assert (await client.get("/api/v1/greetings/es")).status_code == 401


def test_every_file_the_documents_link_to_exists():
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_every_make_target_and_command_the_readme_names_exists():
    readme, makefile = (ROOT / "README.md").read_text(), (ROOT / "Makefile").read_text()

    for target in re.findall(r"(?m)^make (\w+)", readme):
        assert re.search(rf"(?m)^{target}:", makefile)
