"""A mail server that keeps what it gets: enough of RFC 5321 for one client."""
import email
import email.policy
import socketserver
import threading


class Handler(socketserver.StreamRequestHandler):
    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")

    def handle(self):
        box = self.server.box
        self.say("220 test ESMTP")
        envelope = {"to": []}
        while line := self.rfile.readline():
            verb, _, rest = line.decode().strip().partition(" ")
            verb = verb.upper()
            if verb in ("EHLO", "HELO"):
                self.say("250 test")
            elif verb == "MAIL":
                envelope["from"] = rest
                self.say("250 ok")
            elif verb == "RCPT":
                envelope["to"].append(rest)
                self.say("550 no such user" if box.refuses else "250 ok")
            elif verb == "DATA":
                self.say("354 go on")
                lines = []
                while (line := self.rfile.readline()) not in (b".\r\n", b""):
                    lines.append(line[1:] if line.startswith(b".") else line)
                box.messages.append((envelope, email.message_from_bytes(b"".join(lines), policy=email.policy.default)))
                self.say("250 taken")
            elif verb == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("502 unknown")


class Box:
    def __init__(self):
        self.messages, self.refuses = [], False
        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.box = self
        self.url = f"smtp://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
