"""Where another server with the same API is known to answer otherwise, test by test, with the reason.

Used only when `KEYTURN_COMPAT_ADDR` names such a server (OpenBao 2.6). A test named here must fail there: one that
passes fails the run, so that the table cannot rot.
"""

_SERVER_ERROR = "bad input is answered with 500; here it is 400, because the caller is at fault"

DIFFERENCES = {
    "test_approle.py::test_a_role_needs_some_constraint": _SERVER_ERROR,
    "test_approle.py::test_bad_fields_are_refused[secret_id_bound_cidrs]": _SERVER_ERROR,
    "test_approle.py::test_bounds_of_a_secret_id_stay_within_the_role[cidr_list-['10.0.0.0/8']]": _SERVER_ERROR,
    "test_approle.py::test_missing_ids": _SERVER_ERROR,
    "test_bad_input.py::test_bytes_that_are_no_name[xffxfe]": _SERVER_ERROR,
    "test_bad_input.py::test_bytes_that_are_no_name[axc3x28b]": _SERVER_ERROR,
    "test_bad_input.py::test_broken_http[smuggling]": _SERVER_ERROR,
    "test_userpass.py::test_refused_logins_look_alike[ann-]": _SERVER_ERROR,
    "test_approle.py::test_expiry_of_a_secret_id": "an expired secret id opens the role until the next tidy",
}
