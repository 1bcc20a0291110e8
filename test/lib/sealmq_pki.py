"""Certificates for tests, made by the openssl program when they are needed, in a folder of the test.

    pki = Pki(folder)
    pki.make('server', names=['localhost'])     # server.pem, server.key
    pki.make('old', expired=True); pki.revoke('gone'); pki.path('crl.pem')
"""
import subprocess
from pathlib import Path

CONFIG = """
[ca]
default_ca = this
[this]
database = {folder}/index
new_certs_dir = {folder}
serial = {folder}/serial
certificate = {folder}/ca.pem
private_key = {folder}/ca.key
default_md = sha256
default_days = 30
default_crl_days = 30
unique_subject = no
policy = any
copy_extensions = copy
[any]
commonName = supplied
organizationName = optional
[req]
distinguished_name = dn
[dn]
[v3_ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
"""


class Pki:
    def __init__(self, folder, authority='Test CA'):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.path('config').write_text(CONFIG.format(folder=self.folder))
        self.path('index').write_text('')
        self.path('serial').write_text('1000\n')
        self._openssl('req', '-x509', *self._new_key('ca'), '-days', '30', '-subj', f'/CN={authority}',
                      '-extensions', 'v3_ca', '-out', self.path('ca.pem'))
        self.update_crl()

    def path(self, name):
        return self.folder / name

    def _openssl(self, *arguments):
        subprocess.run(['openssl', arguments[0], '-config', str(self.path('config')),
                        *map(str, arguments[1:])], check=True, capture_output=True)

    def _new_key(self, name):
        return ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
                '-keyout', self.path(f'{name}.key')]

    def make(self, name, common_name=None, names=(), expired=False):
        """Signs <name>.pem for <name>.key; `names` are further ones of a server."""
        options = []
        if names:
            kinds = ['IP:' + n if n[0].isdigit() else 'DNS:' + n for n in names]
            options = ['-addext', 'subjectAltName=' + ','.join(kinds)]
        self._openssl('req', '-new', *self._new_key(name), *options,
                      '-subj', f'/CN={common_name or name}/O=Plant', '-out', self.path(f'{name}.csr'))
        dates = ['-startdate', '20200101000000Z', '-enddate', '20200102000000Z'] if expired else []
        self._openssl('ca', '-batch', '-notext', *dates, '-in', self.path(f'{name}.csr'),
                      '-out', self.path(f'{name}.pem'))

    def revoke(self, name):
        self._openssl('ca', '-revoke', self.path(f'{name}.pem'))
        self.update_crl()

    def update_crl(self):
        self._openssl('ca', '-gencrl', '-out', self.path('crl.pem'))
