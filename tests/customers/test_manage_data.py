"""Management of data in: uploads, lists, rejects, attributes, load checks."""

import httpx

GOOD = b"Customer_ID,Registration_Date,Email\nC1,2025-01-02,a@example.com\n"
BAD = b"Customer_ID,Registration_Date,Email\nC1,2025-01-02,a@example.com\nC2,yesterday,secret@example.com\n"


def upload(api: httpx.Client, name: str, data: bytes, **fields: str) -> httpx.Response:
    return api.post("/manage/v1/imports", files={"file": (name, data)}, data={"kind": "customers", **fields})


def test_an_upload_is_imported_and_told(api: httpx.Client) -> None:
    answer = upload(api, "people.csv", GOOD, mode="full", confirm_removal="true")
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["state"], made["loaded"], made["file_name"], made["mode"]) == ("loaded", 1, "people.csv", "full")
    assert made.pop("preview") is None
    assert api.get(f"/manage/v1/imports/{made['id']}").json() == made
    assert upload(api, "people.csv", GOOD, mode="full").json()["state"] == "unchanged"
    assert api.get(f"/manage/v1/imports/{made['id']}/rejects").status_code == 404


def test_rejects_can_be_downloaded_without_identifying_values(api: httpx.Client) -> None:
    made = upload(api, "bad.csv", BAD).json()
    assert (made["state"], made["loaded"], made["rejected"]) == ("refused", 0, 1)
    text = api.get(f"/manage/v1/imports/{made['id']}/rejects").text
    assert "yesterday" in text and "secret" not in text
    newest = api.get("/manage/v1/imports", params={"limit": 1}).json()
    assert [row["id"] for row in newest] == [made["id"]]
    mapped = upload(api, "bad.csv", BAD, mapping="columns: {Registration_Date: null}").json()
    assert mapped["state"] == "loaded"


def test_bad_uploads(api: httpx.Client, integrations_api: httpx.Client) -> None:
    assert upload(api, "x.zip", GOOD).status_code == 400
    assert upload(api, "x.csv", GOOD, mode="half").status_code == 400
    assert upload(api, "x.csv", GOOD, mapping="- a").status_code == 400
    assert upload(api, "x.csv", b"").status_code == 400
    assert api.get("/manage/v1/imports/99999").status_code == 404
    assert upload(integrations_api, "x.csv", GOOD).status_code == 403


def test_attributes(api: httpx.Client) -> None:
    body = {"name": "SHOE_SIZE", "field_type": "Int", "description": "European size"}
    made = api.post("/manage/v1/attributes", json=body)
    assert made.status_code == 201 and made.json()["alias"] == "Shoe Size"
    assert api.post("/manage/v1/attributes", json={**body, "name": "shoe_size"}).status_code == 409
    changed = api.patch("/manage/v1/attributes/shoe_size", json={"alias": "Size", "api_updatable": True}).json()
    assert (changed["alias"], changed["description"], changed["api_updatable"]) == ("Size", "European size", True)
    assert changed in api.get("/manage/v1/attributes").json()
    assert api.patch("/manage/v1/attributes/none", json={}).status_code == 404
    assert api.patch("/manage/v1/attributes/shoe_size", json={"field_type": "Shoe"}).status_code == 400
    assert api.patch("/manage/v1/attributes/shoe_size", json={"field_type": "Date"}).json()["field_type"] == "Date"
    assert api.get("/manage/v1/event-types").json() == []


def test_load_checks(api: httpx.Client) -> None:
    body = {"products": {"missing": "fail"}, "transactions": {"volume": {"mult_factor": 0.5}}}
    assert api.put("/manage/v1/load-checks", json=body).status_code == 200
    found = api.get("/manage/v1/load-checks").json()
    assert found["products"]["missing"] == "fail" and found["transactions"]["volume"]["days_backwards"] == 180
    checked = api.get("/manage/v1/load-checks/2025-01-01").json()
    assert checked["passed"] is False and "No file of products" in checked["checks"][0]["message"]
    assert api.put("/manage/v1/load-checks", json={"products": {"missing": "x"}}).status_code == 400
    assert api.put("/manage/v1/load-checks", json={}).json() == {}
