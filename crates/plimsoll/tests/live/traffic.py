"""Servers and clients for live tests: real sockets on loopback, in one thread, counted where it happens."""

import asyncio
import threading


class Traffic:
    """HTTP servers that take a while for each request, and clients that ask without a pause."""

    def __init__(self):
        self.servers = []
        self.answered = 0
        self.failures = []
        self.clients = []
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def start_servers(self, delays):
        """A server on a free port for each delay, in seconds."""
        return self._run(self._start_servers(delays))

    def start_clients(self, count, host, port):
        """Clients that each ask again as soon as they have their answer, on a connection that stays. Gives them."""
        async def start():
            return [self.loop.create_task(self._ask(host, port)) for _ in range(count)]
        started = self._run(start())
        self.clients += started
        return started

    def stop_clients(self, some=None):
        """Stops some clients, or all."""
        stopped = self.clients if some is None else some

        async def stop():
            for client in stopped:
                client.cancel()
            await asyncio.gather(*stopped, return_exceptions=True)
        self._run(stop())
        self.clients = [client for client in self.clients if client not in stopped]

    def stop(self):
        self.stop_clients()

        async def stop():
            for server in self.servers:
                server.listener.close()
            rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)
        self._run(stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()

    def _run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    async def _start_servers(self, delays):
        started = [Server(delay) for delay in delays]
        for server in started:
            server.listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
            server.port = server.listener.sockets[0].getsockname()[1]
        self.servers += started
        return started

    async def _ask(self, host, port):
        request = f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        while True:
            try:
                reader, writer = await asyncio.open_connection(host, port)
                try:
                    while True:
                        writer.write(request)
                        head = await reader.readuntil(b"\r\n\r\n")
                        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
                        await reader.readexactly(length)
                        if b" 200 " in head.split(b"\r\n")[0]:
                            self.answered += 1
                        else:
                            self.failures.append(head.decode(errors="replace"))
                finally:
                    writer.close()
            except (OSError, asyncio.IncompleteReadError) as error:
                self.failures.append(repr(error))
                # The failure is what the test tells; a client that cannot connect must not fill the memory with it.
                if len(self.failures) > 1000:
                    return


class Server:
    """One server; `busy` is what it has in hand, `served` what it ever answered."""

    def __init__(self, delay):
        self.delay = delay
        self.busy = 0
        self.served = 0
        self.port = None
        self.listener = None

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    async def serve(self, reader, writer):
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                self.busy += 1
                try:
                    await asyncio.sleep(self.delay)
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n")
                    self.served += 1
                finally:
                    self.busy -= 1
        except (OSError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            # Only by `Traffic.stop`. Python 3.11 takes a cancelled server for one that failed, and tells of it at length.
            pass
        finally:
            writer.close()
