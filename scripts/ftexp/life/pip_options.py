"""pip's options, of site.yaml's pip_args and of the machine's own configuration of pip, as uv takes them.

Institutions name their index, its certificate and their builds where pip looks; uv looks nowhere of that by itself.
Only the standard library, and Python 3.8's, as ftexp.life.environment.
"""

import argparse
import ast
import math
import os
import shlex

# pip's option: the variables that tell uv the same, and what stands between several values (None: the last one counts).
# Variables, since an index's address may hold a password, and everybody on a machine sees the options of a command.
_TOLD = {
    "index-url": (["UV_INDEX_URL"], None),
    "extra-index-url": (["UV_EXTRA_INDEX_URL"], " "),
    "find-links": (["UV_FIND_LINKS"], ","),
    "trusted-host": (["UV_INSECURE_HOST"], " "),
    "constraint": (["UV_CONSTRAINT"], " "),
    "keyring-provider": (["UV_KEYRING_PROVIDER"], None),
    "proxy": (["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY"], None),
    "cert": (["SSL_CERT_FILE"], None),
    "client-cert": (["SSL_CLIENT_CERT"], None),
    "timeout": (["UV_HTTP_TIMEOUT"], None),
    "retries": (["UV_HTTP_RETRIES"], None),
    "cache-dir": (["UV_CACHE_DIR"], None),
}
_TOLD_FLAGS = {"no-cache-dir": "UV_NO_CACHE", "no-build-isolation": "UV_NO_BUILD_ISOLATION"}
# The same option in both; no-verify-hashes is uv's alone.
_SAME = ("requirement", "no-binary", "only-binary", "config-settings")
_SAME_FLAGS = ("no-index", "no-deps", "pre", "upgrade", "force-reinstall", "no-verify-hashes")
# What changes nothing about what is installed, or only about how pip looks for it.
_NO_BEARING = ("progress-bar", "log", "exists-action", "use-deprecated", "root-user-action")
_NO_BEARING_FLAGS = (
    "disable-pip-version-check", "no-input", "no-color", "no-python-version-warning", "no-warn-script-location",
    "no-warn-conflicts", "prefer-binary", "compile", "no-compile", "require-virtualenv", "user", "break-system-packages",
)
_SHORT = {
    "index-url": "-i", "find-links": "-f", "constraint": "-c", "requirement": "-r", "upgrade": "-U", "config-settings": "-C",
}
# Other names that pip knows an option by, in its configuration above all.
_ALSO = {"default-timeout": "timeout", "pypi-url": "index-url", "no-dependencies": "no-deps"}
_FILES = ("find-links", "cert", "client-cert", "cache-dir")
# What pip needs as well, to get uv.
_REACH = (
    "index-url", "extra-index-url", "find-links", "trusted-host", "keyring-provider", "proxy", "cert", "client-cert", "timeout",
    "retries", "cache-dir",
)
_REACH_FLAGS = ("no-index", "no-cache-dir")
_VALUED = (*_TOLD, *_SAME, *_NO_BEARING, "use-feature")
_FLAGS = (*_TOLD_FLAGS, *_SAME_FLAGS, *_NO_BEARING_FLAGS)


class Mistake(Exception):
    """What is wrong with pip_args, as one message for the user."""


class _Parser(argparse.ArgumentParser):
    """pip's options; a mistake is one message."""

    def __init__(self):
        super().__init__(add_help=False)
        for name in _VALUED:
            self.add_argument(*_names(name), dest=name, action="append", default=[])
        for name in _FLAGS:
            self.add_argument(*_names(name), dest=name, action="store_true")
        self.add_argument("-q", "--quiet", "-v", "--verbose", action="count")
        self.add_argument("packages", nargs="*")

    def error(self, message):
        """Called by argparse.

        Raises:
            Mistake: Always.
        """
        raise Mistake("site.yaml: pip_args: %s. It must hold options of `pip install`." % message)


def _names(name):
    return ["--" + name, *("--" + other for other, same in _ALSO.items() if same == name), *filter(None, [_SHORT.get(name)])]


def split(pip_args):
    """The words of pip_args.

    Raises:
        Mistake: If a quote is not closed.
    """
    try:
        return shlex.split(pip_args)
    except ValueError as error:
        raise Mistake("site.yaml: pip_args: %s, got %s. Close it." % (str(error).lower(), pip_args)) from error


def parse(words):
    """Options by pip's long names: a list of values, or whether a flag is there; `packages` is what is no option.

    Raises:
        Mistake: If one of them lacks its value, or uv has no counterpart for it.
    """
    options, rest = _Parser().parse_known_args(words)
    unknown = next((word for word in rest if word.startswith("-")), None)
    if unknown is not None:
        raise Mistake("site.yaml: pip_args: uv, which installs the lock, has no counterpart of this option of pip's, got %s. "
                      "Leave it out, or make an environment by yourself and name it as venv." % unknown.split("=")[0])
    options.packages += rest
    return vars(options)


def configuration(listed):
    """What `pip config list` shows, files and PIP_... variables, as words of a command; and the keys that uv cannot be told."""
    lines = [line.partition("=") for line in listed.splitlines()]
    words, unknown = [], []
    for key, value in _in_force([(name, ast.literal_eval(value)) for name, _, value in lines]).items():
        if key in _FLAGS:
            words += ["--" + key] if value.lower() in ("1", "true", "yes", "on", "y", "t") else []
        elif key in _VALUED:
            words += ["--%s=%s" % (key, word) for word in value.split()]
        elif key not in ("quiet", "verbose"):
            unknown.append(key)
    return words, unknown


def _in_force(settings):
    """Of `section.key` and value the value by key, where [install] counts more than [global], and a variable more than both."""
    found = {}
    for section in ("global", "install", ":env:"):
        for name, value in settings:
            if name.rpartition(".")[0] == section:
                key = name.rpartition(".")[2].replace("_", "-")
                found[_ALSO.get(key, key)] = value
    return found


def for_uv(pip_args, configured):
    """uv's options and environment that mean what these arguments, after the words of its configuration, mean to pip."""
    options = parse([*configured, *split(pip_args)])
    words = [word for name in _SAME for value in options[name] for word in ("--" + name, value)]
    words += ["--" + name for name in _SAME_FLAGS if options[name]]
    # As pip does: the best version from any index, not the first index that has the package.
    return [*words, "--index-strategy", "unsafe-best-match", *options["packages"]], {**os.environ, **_variables(options)}


def _variables(options):
    """The environment variables by which uv is told."""
    told = {}
    for option, (names, between) in _TOLD.items():
        values = [_as_uv_reads(option, value) for value in options[option]]
        if between is not None:
            values = [*filter(None, [os.environ.get(names[0])]), *values]
        if values:
            told.update(dict.fromkeys(names, values[-1] if between is None else between.join(values)))
    told.update({variable: "1" for option, variable in _TOLD_FLAGS.items() if options[option]})
    if "truststore" in options["use-feature"]:
        told["UV_SYSTEM_CERTS"] = "1"
    if os.path.isdir(told.get("SSL_CERT_FILE", "")):
        told["SSL_CERT_DIR"] = told.pop("SSL_CERT_FILE")
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")  # which pip heeds, and uv does not
    if bundle and not any(name in told or name in os.environ for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")):
        told["SSL_CERT_FILE"] = bundle
    return told


def _as_uv_reads(option, value):
    """The value of an option: uv knows no `~`, and whole seconds only."""
    if option in _FILES:
        return os.path.expanduser(value)
    return str(math.ceil(float(value))) if option == "timeout" else value


def for_pip(pip_args):
    """Those of these arguments by which pip reaches an index; its configuration it reads itself."""
    options = parse(split(pip_args))
    words = ["--%s=%s" % (name, value) for name in _REACH for value in options[name]]
    return words + ["--" + name for name in _REACH_FLAGS if options[name]]
