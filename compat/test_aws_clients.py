"""Other people's clients of AWS Secrets Manager: the command line, the caching library, pydantic-settings."""

import json
import subprocess
import sys

import pytest
from aws_secretsmanager_caching import InjectKeywordedSecretString, SecretCache, SecretCacheConfig
from pydantic import SecretStr
from pydantic_settings import AWSSecretsManagerSettingsSource, BaseSettings

from harness import clean_environment
from support import unique

pytestmark = pytest.mark.keyturn


@pytest.fixture
def aws(aws_key, tmp_path):
    """Runs the aws command line: `aws("list-secrets", …)` returns what it prints, as JSON."""
    environment = clean_environment(tmp_path) | aws_key.environment()

    def run(*arguments, code=0):
        command = [sys.executable, "-m", "awscli", "secretsmanager", *arguments, "--output", "json"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout) if code == 0 and done.stdout.strip() else done.stderr

    return run


def test_the_command_line(aws, tmp_path):
    name = unique("cli/main")
    binary = tmp_path / "value"
    binary.write_bytes(b"\x00\xff")
    made = aws("create-secret", "--name", name, "--secret-string", '{"user":"ann"}', "--tags", "Key=team,Value=a")
    assert aws("get-secret-value", "--secret-id", made["ARN"])["SecretString"] == '{"user":"ann"}'
    aws("put-secret-value", "--secret-id", name, "--secret-binary", f"fileb://{binary}")
    assert aws("get-secret-value", "--secret-id", name)["SecretBinary"] == "AP8="
    found = aws("list-secrets", "--filters", f"Key=name,Values={name}")["SecretList"]
    assert [entry["Name"] for entry in found] == [name]
    assert aws("describe-secret", "--secret-id", name)["Tags"] == [{"Key": "team", "Value": "a"}]
    assert "ResourceNotFoundException" in aws("get-secret-value", "--secret-id", unique("cli/never"), code=255)
    aws("delete-secret", "--secret-id", name, "--recovery-window-in-days", "7")
    aws("restore-secret", "--secret-id", name)
    aws("delete-secret", "--secret-id", name, "--force-delete-without-recovery")
    assert "can't find" in aws("describe-secret", "--secret-id", name, code=255)


def test_the_caching_library(sm):
    name = unique("cache/main")
    sm.create_secret(Name=name, SecretString='{"user":"ann","password":"one"}')
    cache = SecretCache(config=SecretCacheConfig(secret_refresh_interval=0), client=sm)
    assert json.loads(cache.get_secret_string(name))["password"] == "one"
    sm.put_secret_value(SecretId=name, SecretString='{"user":"ann","password":"two"}')
    assert json.loads(SecretCache(client=sm).get_secret_string(name))["password"] == "two"
    assert json.loads(cache.get_secret_string(name, version_stage="AWSPREVIOUS"))["password"] == "one"

    @InjectKeywordedSecretString(secret_id=name, cache=SecretCache(client=sm), user="user", password="password")
    def connect(user, password):
        return user, password

    assert connect() == ("ann", "two")
    binary = unique("cache/binary")
    sm.create_secret(Name=binary, SecretBinary=b"\x00\xff")
    assert cache.get_secret_binary(binary) == b"\x00\xff"


def test_pydantic_settings(sm, aws_key, monkeypatch):
    name = unique("settings/main")
    sm.create_secret(Name=name, SecretString='{"password": "hunter2", "port": 5432}')
    for variable, value in aws_key.environment().items():
        monkeypatch.setenv(variable, value)

    class Settings(BaseSettings):
        password: SecretStr
        port: int

        @classmethod
        def settings_customise_sources(cls, settings_cls, **_):
            return (AWSSecretsManagerSettingsSource(settings_cls, name),)

    settings = Settings()
    assert settings.password.get_secret_value() == "hunter2" and settings.port == 5432
