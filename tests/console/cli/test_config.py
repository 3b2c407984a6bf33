from __future__ import annotations

import json


async def test_each_setting_is_shown_with_where_it_comes_from(console, tmp_path):
    console.folder.mkdir()
    file = console.folder / "byoi-console.toml"
    file.write_text('port = 1\nlog_format = "json"\nhost = "::1"\n')
    code, out, _ = await console.run(
        *("config", "show", "--json", "--data-dir", console.folder, "--port", "3"),
        BYOI_CONSOLE_PORT="2",
        BYOI_CONSOLE_HOST="127.0.0.2",
    )
    assert code == 0
    told = json.loads(out)
    assert told["file"] == str(file)
    shown = {
        name: (told["settings"][name]["value"], told["settings"][name]["source"])
        for name in ("port", "host", "log_format", "log_level")
    }
    assert shown == {
        "port": ("3", "flag"),
        "host": ("127.0.0.2", "environment"),
        "log_format": ("json", "file"),
        "log_level": ("info", "default"),
    }


async def test_passwords_stay_hidden(console):
    url = "postgresql+asyncpg://someone:s3cret@host/base"
    for form in ((), ("--json",)):
        code, out, _ = await console.run("config", "show", *form, BYOI_CONSOLE_DATABASE_URL=url)
        assert code == 0
        assert "s3cret" not in out
        assert "someone:" in out


async def test_a_check_reads_what_the_settings_name(console, tmp_path):
    code, out, _ = await console.run("config", "check", "--data-dir", tmp_path)
    assert (code, out) == (0, "the settings can be used (no settings file)\n")
    for flags, words in (
        (("--tls-cert", "/no/c", "--tls-key", "/no/k"), "tls_cert: cannot read /no/c"),
        (("--tls-cert", "/no/c"), "tls_cert and tls_key go together"),
        (("--database-url-file", "/no/url"), "database_url_file: cannot read /no/url"),
        (("--config", "/no/file"), "/no/file cannot be read"),
        (("--trusted-proxies", "everybody"), "write 10.0.0.0/8"),
    ):
        code, _, err = await console.run("config", "check", *flags)
        assert (code, err.count("\n")) == (78, 1), err
        assert words in err


async def test_an_unknown_name_in_the_file_is_refused_with_the_nearest(console, tmp_path):
    file = tmp_path / "c.toml"
    file.write_text("prot = 1\n")
    code, _, err = await console.run("config", "check", "--config", file)
    assert code == 78
    assert err == f"byoi-console: {file}: prot is not a setting; did you mean port?\n"
