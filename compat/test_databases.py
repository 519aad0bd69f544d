"""The databases that the tests start: each lets its administrator in, and nobody with another password."""

import psycopg
import pymysql
import pytest
import redis as redis_py


@pytest.mark.parametrize("name, refusal", [
    ("postgresql", psycopg.OperationalError),
    ("mariadb", pymysql.err.OperationalError),
    ("redis", redis_py.AuthenticationError),
])
def test_a_database_lets_in_whom_it_should(request, name, refusal):
    """The fixtures are what they say, so that a refusal in another test means something."""
    server = request.getfixturevalue(name)
    server.connect().close()
    with pytest.raises(refusal):
        server.connect(server.user, "not this")


def test_a_database_keeps_its_data_over_a_restart(mariadb):
    """`restart` is what a test of recovery needs."""
    mariadb.connect().cursor().execute("CREATE DATABASE kept")
    mariadb.restart()
    connection = mariadb.connect(database="kept")
    connection.cursor().execute("DROP DATABASE kept")
    connection.close()
