"""Fetch a page and print it: `fetch.py URL [SECONDS]`, trying until it answers or time is up.

By:   `make up`. A Service has its first endpoint a moment after its first pod is Ready.
"""

import http.client
import sys
import time
import urllib.parse


def main() -> int:
    url = urllib.parse.urlsplit(sys.argv[1])
    deadline = time.monotonic() + float(sys.argv[2] if len(sys.argv) > 2 else 15)
    while True:
        connection = http.client.HTTPConnection(url.hostname, url.port or 80, timeout=5)
        try:
            connection.request("GET", url.path or "/")
            response = connection.getresponse()
            sys.stdout.write(response.read().decode())
            return 0 if response.status == 200 else 1
        except OSError as error:
            if time.monotonic() > deadline:
                sys.stderr.write(f"{sys.argv[1]} does not answer: {error}\n")
                return 1
            time.sleep(0.1)
        finally:
            connection.close()


if __name__ == "__main__":
    sys.exit(main())
