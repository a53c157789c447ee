"""gRPC through a running Plimsoll, with the clients and servers of grpcio.

    PLIMSOLL=target/debug/plimsoll python -m unittest -v crates/plimsoll/tests/live/test_grpc.py
"""

import collections
import queue
import unittest
from concurrent import futures

import grpc

import rpc
from rpc import PATIENCE, Plimsoll, Process, Server, until

NOBODY_EJECTED = 'eject = "off"\n'

# The library keeps a deadline in whole milliseconds and rounds up, at the client and at the server: with nothing between
# them half of all servers are given more than the client gave.
ROUNDED = 0.002


class Calls(unittest.TestCase):
    """Each test has servers and a program of its own; when it is over nothing may be in flight."""

    def serve(self, *servers, **settings):
        """Starts the program in front of servers."""
        for server in servers:
            self.addCleanup(server.stop)
        plimsoll = Plimsoll([server.port for server in servers], **settings)
        self.addCleanup(self.end, plimsoll)
        return plimsoll

    def end(self, plimsoll):
        """Looks at what is left, and stops it."""
        try:
            until("the end of all in flight", lambda: plimsoll.in_flight() == 0)
        finally:
            wrong = plimsoll.stop()
        self.assertIsNone(wrong)

    def fails(self, call, code):
        """A call that ends with this status; gives the error."""
        with self.assertRaises(grpc.RpcError) as raised:
            call()
        self.assertEqual(raised.exception.code(), code, raised.exception.details())
        return raised.exception

    def test_calls_of_all_four_kinds(self):
        plimsoll = self.serve(Server())
        self.assertEqual(plimsoll.unary()(b"hello", timeout=PATIENCE), b"hello")
        self.assertEqual(plimsoll.unary()(b"", timeout=PATIENCE), b"")
        self.assertEqual(list(plimsoll.stream("expand")(b"100", timeout=PATIENCE)), [b"%d" % n for n in range(100)])
        self.assertEqual(list(plimsoll.stream("expand")(b"0", timeout=PATIENCE)), [])
        join = plimsoll.channel.stream_unary("/test.Echo/join")
        self.assertEqual(join(iter([b"a", b"b", b"c"]), timeout=PATIENCE), b"a b c")
        self.assertEqual(join(iter([]), timeout=PATIENCE), b"")
        self.assertEqual([line["grpc_status"] for line in plimsoll.lines(6)], [0] * 6)

    def test_both_sides_of_a_call_stream_at_once(self):
        plimsoll = self.serve(Server())
        asked = queue.Queue()
        call = plimsoll.channel.stream_stream("/test.Echo/chat")(iter(asked.get, None), timeout=PATIENCE)
        self.assertIn(("x-early", "yes"), call.initial_metadata(), "the head comes before anything was asked")
        for number in range(100):
            asked.put(b"%d" % number)
            self.assertEqual(next(call), b"re: %d" % number, "each answer comes before the next question")
        self.assertEqual(plimsoll.in_flight(), 1)
        asked.put(None)
        self.assertEqual(list(call), [])
        self.assertEqual(call.code(), grpc.StatusCode.OK)

    def test_metadata_passes_both_ways(self):
        plimsoll = self.serve(Server("one"))
        sent = (("x-text", "a, b"), ("x-twice", "1"), ("x-twice", "2"), ("x-raw-bin", bytes(range(256))))
        _, call = plimsoll.unary().with_call(b"", metadata=sent, timeout=PATIENCE)
        initial, trailing = call.initial_metadata(), call.trailing_metadata()
        for pair in sent:
            self.assertIn(pair, initial)
            self.assertIn(pair, trailing)
        self.assertIn(("x-server", "one"), trailing)

    def test_every_status_passes_with_its_message_and_metadata(self):
        plimsoll = self.serve(Server(), pool=NOBODY_EJECTED)
        message = "50% of it; für immer\nand a line"
        codes = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]
        for code in codes:
            ask = b"%d %s" % (code.value[0], message.encode())
            error = self.fails(lambda: plimsoll.unary("fail")(ask, timeout=PATIENCE), code)
            self.assertEqual(error.details(), message)
            self.assertIn(("x-why", "because"), error.trailing_metadata())
            self.assertIn(("x-why-bin", b"\x00\xff\x80"), error.trailing_metadata())
        lines = plimsoll.lines(len(codes))
        self.assertEqual([line["grpc_status"] for line in lines], [code.value[0] for code in codes])
        rejected = [line["grpc_status"] for line in lines if line["outcome"] == "rejected"]
        self.assertEqual(sorted(rejected), [2, 4, 8, 12, 13, 14, 15])

    def test_large_messages_pass_whole(self):
        plimsoll = self.serve(Server())
        message = bytes(range(256)) * (1 << 14)
        self.assertEqual(plimsoll.unary()(message, timeout=PATIENCE), message)

    def test_a_deadline_is_told_to_the_server_and_ends_the_call(self):
        server = Server()
        plimsoll = self.serve(server)
        self.fails(lambda: plimsoll.unary("hang")(b"", timeout=0.5), grpc.StatusCode.DEADLINE_EXCEEDED)
        self.assertTrue(server.echo.ended.acquire(timeout=PATIENCE), "the server's part ends too")
        self.assertTrue(0.2 < server.echo.given[0] <= 0.5 + ROUNDED, server.echo.given)
        health = plimsoll.servers()[0]["health"]
        self.assertEqual((health["state"], health["failures_in_a_row"]), ("up", 0), "it is not the server's fault")

    def test_what_a_call_has_waited_is_taken_off_its_deadline(self):
        server = Server()
        plimsoll = self.serve(server, pool='queue = { limit = 10, timeout = "1m" }', server=", max_connections = 1")
        first = plimsoll.unary("hang").future(b"", timeout=0.7)
        until("the first call", lambda: plimsoll.in_flight() == 1)
        self.fails(lambda: plimsoll.unary()(b"", timeout=0.1), grpc.StatusCode.DEADLINE_EXCEEDED)
        second = plimsoll.unary("hang").future(b"", timeout=2)
        self.assertEqual(first.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        until("the second call", lambda: len(server.echo.given) == 2)
        self.assertTrue(0.5 < server.echo.given[1] < 1.8, server.echo.given)
        second.cancel()

    def test_a_client_that_cancels_is_gone_for_the_server_too(self):
        server = Server()
        plimsoll = self.serve(server)
        asked = queue.Queue()
        calls = [plimsoll.unary("hang").future(b"", timeout=PATIENCE) for _ in range(3)]
        chat = plimsoll.channel.stream_stream("/test.Echo/chat")(iter(asked.get, None), timeout=PATIENCE)
        asked.put(b"x")
        next(chat)
        until("all in flight", lambda: plimsoll.in_flight() == 4 and len(server.echo.given) == 3)
        for call in [*calls, chat]:
            call.cancel()
        asked.put(None)
        for _ in calls:
            self.assertTrue(server.echo.ended.acquire(timeout=PATIENCE), "the server learns of it")
        until("nothing in flight", lambda: plimsoll.in_flight() == 0)
        outcomes = plimsoll.servers()[0]["outcomes"]
        self.assertEqual((outcomes["aborted"], outcomes["failed"]), (4, 0))

    def test_a_server_that_gives_up_is_told_of_as_a_status(self):
        server = Server()
        plimsoll = self.serve(server)
        self.fails(lambda: plimsoll.unary("give_up")(b"", timeout=PATIENCE), grpc.StatusCode.CANCELLED)
        for ending, code in [(b"cancel", grpc.StatusCode.CANCELLED), (b"abort", grpc.StatusCode.DATA_LOSS)]:
            server.echo.go.clear()
            call = plimsoll.stream("begin")(ending, timeout=PATIENCE)
            self.assertEqual(next(call), b"first")
            server.echo.go.set()
            self.fails(lambda: list(call), code)
        self.assertEqual([line["grpc_status"] for line in plimsoll.lines(3)], [1, 1, 15])

    def test_a_server_that_dies_within_an_answer_ends_it_with_a_status(self):
        server = Process("one")
        plimsoll = self.serve(server)
        call = plimsoll.stream("begin")(b"", timeout=PATIENCE)
        self.assertEqual(next(call), b"first")
        server.stop()
        error = self.fails(lambda: list(call), grpc.StatusCode.UNAVAILABLE)
        self.assertEqual(error.details(), "the server closed the connection before its answer was whole")
        line = plimsoll.lines(1)[0]
        self.assertEqual((line["status"], line["grpc_status"], line["outcome"]), (200, 14, "failed"))

    def test_quiet_is_no_fault(self):
        server = Server()
        timeouts = 'timeout = { first_byte = "200ms", idle = "200ms" }'
        plimsoll = self.serve(server, pool=timeouts, listener='timeout = { body = "200ms" }')
        asked = queue.Queue()
        quiet = plimsoll.channel.stream_stream("/test.Echo/chat")(iter(asked.get, None), timeout=PATIENCE)
        late = plimsoll.stream("begin")(b"", timeout=PATIENCE)
        self.assertEqual(next(late), b"first")
        # Nothing else would tell of the time that passes.
        self.fails(lambda: plimsoll.unary("hang")(b"", timeout=1.2), grpc.StatusCode.DEADLINE_EXCEEDED)
        asked.put(b"x")
        self.assertEqual(next(quiet), b"re: x")
        asked.put(None)
        server.echo.go.set()
        self.assertEqual((list(quiet), list(late)), ([], [b"last"]))

    def test_a_thousand_calls_over_one_channel_are_even_and_outlive_a_server(self):
        servers = [Process(name) for name in "abc"]
        retry = 'retry = { on = ["grpc-unavailable"], budget = "50%" }'
        plimsoll = self.serve(*servers, pool=retry)
        call, served = plimsoll.unary("tell"), collections.Counter()

        def ask(number):
            name, echoed = call(b"%d" % number, timeout=PATIENCE).decode().split()
            self.assertEqual(echoed, str(number))
            return name

        served.update(ask(number) for number in range(300))
        self.assertEqual(served, {"a": 100, "b": 100, "c": 100})
        with futures.ThreadPoolExecutor(20) as clients:
            rest = [clients.submit(ask, number) for number in range(300, 1000)]
            until("some of the rest", lambda: sum(one.done() for one in rest) > 100)
            servers[2].stop()
            after = collections.Counter(one.result() for one in rest)
        self.assertEqual(after.total(), 700)
        self.assertLess(after["c"], after["a"])
        # The one that is faster under load gets more, but none gets everything.
        self.assertGreater(min(after["a"], after["b"]), 150, after)

    def test_a_call_is_sent_again_where_its_status_is_named(self):
        bad, good = Server("bad"), Server("good")
        bad.echo.fail_with = grpc.StatusCode.UNAVAILABLE
        retry = 'retry = { on = ["grpc-unavailable"], budget = "100%" }\n' + NOBODY_EJECTED
        plimsoll = self.serve(bad, good, pool=retry)
        body = bytes(range(256)) * 40
        for _ in range(10):
            self.assertEqual(plimsoll.unary()(body, timeout=PATIENCE), body)
        self.assertGreater(bad.echo.taken, 0)
        self.assertEqual(good.echo.taken, 10)
        bad.echo.fail_with = good.echo.fail_with = grpc.StatusCode.INTERNAL
        before = bad.echo.taken + good.echo.taken
        error = self.fails(lambda: plimsoll.unary()(b"", timeout=PATIENCE), grpc.StatusCode.INTERNAL)
        self.assertEqual((error.details(), bad.echo.taken + good.echo.taken - before), ("as it was told", 1))

    def test_a_server_that_fails_calls_is_ejected(self):
        bad, good = Server("bad"), Server("good")
        bad.echo.fail_with = grpc.StatusCode.INTERNAL
        plimsoll = self.serve(bad, good, pool='eject = { failures = 3, time = "1m" }\nblack_hole_guard = false')
        call = plimsoll.unary()
        failed = 0
        for _ in range(40):
            try:
                call(b"x", timeout=PATIENCE)
            except grpc.RpcError as error:
                self.assertEqual(error.code(), grpc.StatusCode.INTERNAL)
                failed += 1
        self.assertEqual(failed, 3)
        self.assertEqual([server["health"]["state"] for server in plimsoll.servers()], ["ejected", "up"])

    def test_a_server_that_cannot_be_reached_is_told_of_as_a_status(self):
        plimsoll = Plimsoll([rpc.free_port()], pool='retry = "off"\n' + NOBODY_EJECTED)
        self.addCleanup(self.end, plimsoll)
        error = self.fails(lambda: plimsoll.unary()(b"", timeout=PATIENCE), grpc.StatusCode.UNAVAILABLE)
        self.assertEqual(error.details(), "the server could not be connected to")
        line = plimsoll.lines(1)[0]
        self.assertEqual((line["status"], line["grpc_status"], line["outcome"]), (502, 14, "connect-failed"))

    def test_a_message_that_is_too_large_and_a_pool_without_servers(self):
        server = Server(with_health=True)
        server.health.set("", rpc.NOT_SERVING)
        probe = 'probe = { grpc = "", interval = "100ms", fall = 1, rise = 1, initial = "ready" }'
        plimsoll = self.serve(server, pool=probe, listener='max_body = "1KiB"')
        until("the probe", lambda: plimsoll.servers()[0]["health"]["state"] == "down")
        error = self.fails(lambda: plimsoll.unary()(b"", timeout=PATIENCE), grpc.StatusCode.UNAVAILABLE)
        self.assertEqual(error.details(), "no server is available")
        self.assertIn("retry-after", dict(error.trailing_metadata()))
        line = plimsoll.lines(1)[0]
        self.assertEqual((line["status"], line["grpc_status"], line["reason"]), (503, 14, "all-down"))
        server.health.set("", rpc.SERVING)
        until("the probe", lambda: plimsoll.servers()[0]["health"]["state"] == "up")
        error = self.fails(lambda: plimsoll.unary()(b"x" * 2000, timeout=PATIENCE), grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.assertEqual(error.details(), "the request body is too large")
        self.assertEqual(plimsoll.unary()(b"x" * 900, timeout=PATIENCE), b"x" * 900)

    def test_a_probe_says_what_is_wrong(self):
        without, other = Server(), Server(with_health=True)
        other.health.set("other", rpc.SERVING)
        probe = 'probe = { grpc = "mine", interval = "100ms", fall = 1, rise = 1 }'
        plimsoll = self.serve(without, other, pool=probe)

        def reasons():
            return [server["health"]["reason"] for server in plimsoll.servers()]

        lacks = "a probe failed: the server has no health service (UNIMPLEMENTED)"
        knows_not = "a probe failed: the server does not know this service (NOT_FOUND)"
        until("both failures", lambda: reasons() == [lacks, knows_not])
        other.health.set("mine", rpc.SERVING)
        until("a good probe", lambda: plimsoll.servers()[1]["health"]["state"] == "up")
        other.health.set("mine", rpc.NOT_SERVING)
        until("a bad probe", lambda: reasons()[1] == "a probe failed: the service is NOT_SERVING")
        self.assertEqual([server["health"]["state"] for server in plimsoll.servers()], ["down", "down"])

    def test_the_example_spreads_calls_and_leaves_out_who_is_not_well(self):
        servers = [Server(name, with_health=True) for name in ("one", "two", "three")]
        for server in servers:
            server.health.set("", rpc.SERVING)
            self.addCleanup(server.stop)
        plimsoll = Plimsoll([server.port for server in servers], example="grpc.toml")
        self.addCleanup(self.end, plimsoll)
        until("their first probes", lambda: all(one["health"]["state"] == "up" for one in plimsoll.servers()))
        for number in range(300):
            self.assertEqual(plimsoll.unary()(b"%d" % number, timeout=PATIENCE), b"%d" % number)
        self.assertEqual([server.echo.taken for server in servers], [100, 100, 100])
        servers[0].echo.fail_with = grpc.StatusCode.UNAVAILABLE
        for _ in range(3):
            self.assertEqual(plimsoll.unary()(b"again", timeout=PATIENCE), b"again", "another server makes the call")
        self.assertGreater(servers[0].echo.taken, 100)
        servers[1].health.set("", rpc.NOT_SERVING)
        until("the probes to fail", lambda: plimsoll.servers()[1]["health"]["state"] == "down")
        before = servers[1].echo.taken
        for _ in range(30):
            self.assertEqual(plimsoll.unary()(b"x", timeout=PATIENCE), b"x")
        self.assertEqual(servers[1].echo.taken, before)


if __name__ == "__main__":
    unittest.main()
