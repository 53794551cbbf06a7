"""What the kernel is told about a connection."""

import socket

import pytest

from kybern.lib.http import sockets


class Transport:
    def __init__(self, sock):
        self.get_extra_info = {"socket": sock}.get


def test_the_kernel_looks_for_peers_that_are_gone():
    with socket.socket() as sock:
        sockets.notice_dead_peer(Transport(sock))
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        names = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
        idle, interval, probes = (
            sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in names
        )
        assert idle + interval * probes <= 60


def test_who_was_cut_off_hears_soon_what_was_sent():
    with socket.socket() as sock:
        try:
            sock.getsockopt(socket.IPPROTO_TCP, sockets._RTO_MAX_MS)
        except OSError:
            pytest.skip("this kernel decides alone when it sends again")
        sockets.notice_dead_peer(Transport(sock))
        assert sock.getsockopt(socket.IPPROTO_TCP, sockets._RTO_MAX_MS) == 3000


def test_other_transports_are_left_alone():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sockets.notice_dead_peer(Transport(ours))
        sockets.notice_dead_peer(Transport(None))
