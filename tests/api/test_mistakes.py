"""What people are told who make a plausible mistake over HTTP, or say a thing in a way that the contract allows and a strict reader would not."""

import pytest

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("body, place", [('{"name": "x",\n  "description": "y",\n}', "line 2, column 21: trailing comma"), ('{"name": "ä" "b"}', "line 1, column 14"),
                                         ('{"name": NaN}', "NaN and Infinity are no JSON"), ('{"name": "x"', "line 1, column 13: unexpected end")])
def test_where_json_breaks(owner, body, place):
    told = owner.call("POST", "/projects/", 400, data=body.encode(), headers=JSON).json()
    assert told["error_code"] == "malformed_json" and place in told["detail"], told
