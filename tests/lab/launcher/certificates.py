"""Certificates for servers on loopback, made by openssl: a CA, and what it signs."""
from __future__ import annotations

import pathlib
import subprocess

CONFIG = """[ca]
default_ca = one
[one]
database = {folder}/index.txt
new_certs_dir = {folder}
serial = {folder}/serial
default_md = sha256
policy = any
unique_subject = no
copy_extensions = copy
[any]
commonName = supplied
"""


class Certificates:
    def __init__(self, folder: pathlib.Path):
        self._folder = folder
        folder.mkdir(parents=True)
        (folder / "index.txt").touch()
        (folder / "serial").write_text("01\n", encoding="ascii")
        (folder / "ca.cnf").write_text(CONFIG.format(folder=folder), encoding="ascii")
        self.ca = folder / "ca.pem"
        self._openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj",
                      "/CN=Lab Root", "-keyout", "ca.key", "-out", "ca.pem")

    def _openssl(self, *words: str) -> None:
        done = subprocess.run(["openssl", *words], cwd=self._folder, capture_output=True, text=True,
                              check=False)
        if done.returncode != 0:
            raise RuntimeError(f"openssl {' '.join(words)}: {done.stderr}")

    def make(self, name: str, names: str = "IP:127.0.0.1", start: str = "20200101000000Z",
             end: str = "20400101000000Z") -> pathlib.Path:
        """A certificate and its key in one file."""
        self._openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}",
                      "-addext", f"subjectAltName={names}", "-keyout", f"{name}.key", "-out",
                      f"{name}.csr")
        self._openssl("ca", "-batch", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key",
                      "-notext", "-startdate", start, "-enddate", end, "-in", f"{name}.csr", "-out",
                      f"{name}.crt")
        return self._both(name)

    def make_self_signed(self, name: str) -> pathlib.Path:
        self._openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj",
                      f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout",
                      f"{name}.key", "-out", f"{name}.crt")
        return self._both(name)

    def _both(self, name: str) -> pathlib.Path:
        path = self._folder / f"{name}.pem"
        path.write_text((self._folder / f"{name}.crt").read_text(encoding="ascii")
                        + (self._folder / f"{name}.key").read_text(encoding="ascii"),
                        encoding="ascii")
        return path
