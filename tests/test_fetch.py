"""Downloads from a local server: digests, resuming, errors and concurrent calls."""

import contextlib
import hashlib
import http.server
import re
import threading

import pytest

from jaxgan.errors import SystemFailure
from jaxgan.io.fetch import fetch, file_digest

CONTENT = bytes(range(256)) * 4_000  # a megabyte: several chunks
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        requested = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(requested[1]) if requested and server.ranges else 0
        server.starts.append(start)
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/file")
            self.end_headers()
            return
        if self.path != "/file":
            return self.send_error(404)
        if start >= len(CONTENT):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        if server.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        body = CONTENT[start : server.stop]
        self.wfile.write(b"%x\r\n%b" % (len(body) + 1, body) if server.chunked else body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.ranges, server.stop, server.starts, server.chunked = True, None, [], False
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_file_is_fetched_once_and_verified_by_its_digest_or_its_first_digits(server, tmp_path):
    path = tmp_path / "deep" / "file"
    assert fetch(f"{server.url}/file", path, SHA256[:8]) == SHA256 == file_digest(path)
    assert path.read_bytes() == CONTENT
    assert fetch("http://127.0.0.1:1/none", path, SHA256) == SHA256
    assert server.starts == [0]
    assert not path.with_name("file.part").exists()


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("ranges", [True, False])
def test_an_interrupted_download_resumes_if_the_server_supports_ranges(server, tmp_path, ranges, chunked):
    server.ranges, server.chunked, server.stop = ranges, chunked, 600_000
    path, part = tmp_path / "file", tmp_path / "file.part"
    with pytest.raises(SystemFailure, match=r"interrupted.*the same command resumes it"):
        fetch(f"{server.url}/file", path, SHA256)
    received = part.stat().st_size
    assert part.read_bytes() == CONTENT[:received]
    assert received == 600_000 or chunked
    assert not path.exists()
    server.stop, server.chunked = None, False
    fetch(f"{server.url}/moved", path, SHA256)
    assert path.read_bytes() == CONTENT
    assert server.starts[-1] == (received if ranges else 0)


def test_a_complete_part_becomes_the_file(server, tmp_path):
    (tmp_path / "file.part").write_bytes(CONTENT)
    fetch(f"{server.url}/file", tmp_path / "file", SHA256)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_download_with_a_wrong_digest_is_deleted_and_the_next_call_starts_again(server, tmp_path):
    (tmp_path / "file.part").write_bytes(b"something else")
    with pytest.raises(SystemFailure, match=f"SHA-256 .* and not {SHA256}, which was deleted"):
        fetch(f"{server.url}/file", tmp_path / "file", SHA256)
    assert [p.name for p in tmp_path.iterdir()] == ["file.lock"]
    fetch(f"{server.url}/file", tmp_path / "file", SHA256)
    (tmp_path / "file").write_bytes(b"damaged")
    with pytest.raises(SystemFailure, match="delete it"):
        fetch(f"{server.url}/file", tmp_path / "file", SHA256)


def test_errors_of_server_network_and_disk_say_how_to_go_on(server, tmp_path):
    with pytest.raises(SystemFailure, match=f"404 Not Found; try later, or put the file at {tmp_path / 'file'}"):
        fetch(f"{server.url}/other", tmp_path / "file", SHA256)
    with pytest.raises(SystemFailure, match=f"refused; connect, or put the file at {tmp_path / 'file'}"):
        fetch("http://127.0.0.1:1/file", tmp_path / "file", SHA256)
    (tmp_path / "plain").write_text("")
    with pytest.raises(SystemFailure, match=r"cannot write to .*plain: .*XDG_CACHE_HOME"):
        fetch(f"{server.url}/file", tmp_path / "plain" / "file", SHA256)


def test_concurrent_calls_fetch_a_file_once(server, tmp_path):
    threads = [threading.Thread(target=fetch, args=(f"{server.url}/file", tmp_path / "file", SHA256)) for _ in range(4)]
    with contextlib.ExitStack() as stack:
        for thread in threads:
            thread.start()
            stack.callback(thread.join)
    assert server.starts == [0]
    assert (tmp_path / "file").read_bytes() == CONTENT
