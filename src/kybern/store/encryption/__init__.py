"""Values are encrypted between the store and its medium, by upstream's EncryptionConfiguration.

`config` reads the file, `ciphers` know the bytes, `rules` say which key a value is written with and
which may have written it, `engine` puts that in front of any engine, `reload` follows the file.
What is held in memory, and what watchers get, is plain; what the medium has is not.
"""
