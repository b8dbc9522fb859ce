"""A job that serves: a program for the tests' job image, which answers as its client asks."""

from typing import Final

SERVICE_PORT: Final = 8080

# What the first line says decides:
#   echo    everything comes back, and "bye" when the client says no more
#   flood   bytes without end
#   close   the connection is closed at once
#   reset   it is broken off
#   GET ... an HTTP request, whose path says what is answered (`web` below)
SERVES: Final = f"""
import base64, hashlib, json, socket, socketserver, struct, time

class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        line = self.rfile.readline()
        word = line.split()[0]
        if line.rstrip().endswith(b"HTTP/1.1"):
            self.web(*line.decode().split()[:2])
            return
        if word == b"echo":
            while data := self.rfile.read1(65536):
                self.wfile.write(data)
            self.wfile.write(b"bye")
        elif word == b"flood":
            while True:
                self.wfile.write(bytes(65536))
        elif word == b"reset":
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.request.close()

    def web(self, method, path):
        head = {{}}
        raw = []
        while (line := self.rfile.readline().rstrip()):
            name, _, value = line.decode("latin-1").partition(": ")
            head[name.lower()] = value
            raw.append([name.lower(), value])
        body = b""
        if head.get("transfer-encoding") == "chunked":
            while (size := int(self.rfile.readline(), 16)):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(head.get("content-length", 0)))
        what = path.strip("/").split("?")[0]
        if what == "stream":
            self.wfile.write(b"HTTP/1.1 200 OK\\r\\nContent-Type: text/event-stream\\r\\nConnection: close\\r\\n\\r\\n")
            for number in range(3):
                self.wfile.write(b"data: %d\\n\\n" % number)
                time.sleep(0.05)
        elif what == "cut":
            self.wfile.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 10\\r\\n\\r\\nabc")
        elif what == "socket" and head.get("upgrade") != "websocket":
            self.wfile.write(b"HTTP/1.1 404 Not Found\\r\\nContent-Length: 0\\r\\n\\r\\n")
        elif what == "nonsense":
            self.wfile.write(b"SSH-2.0-nobody\\r\\n")
        elif what == "hostile":
            self.wfile.write(
                b"HTTP/1.1 302 Found\\r\\nContent-Length: 2\\r\\nSet-Cookie: a=b; Path=/\\r\\nClear-Site-Data: *\\r\\n"
                b"Service-Worker-Allowed: /\\r\\nStrict-Transport-Security: max-age=1\\r\\nAlt-Svc: h3\\r\\n"
                b"WWW-Authenticate: Basic\\r\\nConnection: close, X-Own\\r\\nX-Own: 1\\r\\nLocation: /login\\r\\n"
                b"Content-Security-Policy: default-src *\\r\\n\\r\\nok"
                b"HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\n\\r\\nstray"
            )
        elif head.get("upgrade") == "websocket" and what == "socket":
            key = head["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            accept = base64.b64encode(hashlib.sha1(key.encode()).digest())
            self.wfile.write(
                b"HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
                b"Sec-WebSocket-Protocol: chat\\r\\nSec-WebSocket-Accept: " + accept + b"\\r\\n\\r\\n"
            )
            while True:
                first, length = self.rfile.read(2)
                length &= 127
                if length == 126:
                    length = int.from_bytes(self.rfile.read(2), "big")
                mask = self.rfile.read(4)
                data = bytes(b ^ mask[i % 4] for i, b in enumerate(self.rfile.read(length)))
                small = bytes([length]) if length < 126 else b"\\x7e" + length.to_bytes(2, "big")
                self.wfile.write(bytes([first]) + small + data)
                if first & 15 == 8:
                    return
        else:
            said = json.dumps({{"method": method, "path": path, "headers": raw, "body": body.decode()}}).encode()
            self.wfile.write(b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\n"
                             b"Content-Length: %d\\r\\n\\r\\n" % len(said))
            if method != "HEAD":
                self.wfile.write(said)

class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

Server(("127.0.0.1", {SERVICE_PORT}), Handler).serve_forever()
"""
