"""Certificates for tests, made by the openssl command."""
from __future__ import annotations

import pathlib
import subprocess


def _openssl(*words: str) -> None:
    done = subprocess.run(["openssl", *words], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {words[0]} failed: {done.stderr[-2000:]}")


def authority(folder: pathlib.Path, name: str) -> None:
    """NAME.pem and NAME.key."""
    _openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
             "-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.pem"))


def certified(folder: pathlib.Path, authority_name: str, name: str, alternatives: str = "") -> None:
    """NAME.pem and NAME.key, certified by the authority; `alternatives` as in subjectAltName."""
    request, extensions = folder / f"{name}.csr", folder / f"{name}.ext"
    _openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout",
             str(folder / f"{name}.key"), "-out", str(request))
    extensions.write_text(f"subjectAltName={alternatives}\n" if alternatives else "")
    _openssl("x509", "-req", "-days", "2", "-in", str(request), "-CA",
             str(folder / f"{authority_name}.pem"), "-CAkey", str(folder / f"{authority_name}.key"),
             "-CAcreateserial", "-extfile", str(extensions), "-out", str(folder / f"{name}.pem"))
