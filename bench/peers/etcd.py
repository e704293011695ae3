"""etcd as a benchmark runs it: Debian's server in its default configuration, and a load in Go."""

import json
import os
import shutil
import subprocess
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from actors.addresses import NodeAddress
from bench.systems import Command, Load, System, until, words_of

SOURCE = Path(__file__).parent / "etcdload"
LIBRARIES = Path("/usr/share/gocode")
CLIENT = LIBRARIES / "src/go.etcd.io/etcd/clientv3"
NEEDED = "etcd is left out: apt-get install etcd-server golang-etcd-server-dev golang-go"
QUOTA_BYTES = 8 * 1024**3


class Etcd(System):
    """Every write is synced, as it is by default; all requests go to the leader, as it likes it."""

    name = "etcd"
    needs_retries = True

    def __init__(self, count: int = 3) -> None:
        super().__init__(count)
        self._load = self.directory / "etcdload"
        _build(self._load)

    @staticmethod
    def why_not() -> str:
        """Why it cannot be run here, and what to do; empty if it can."""
        found = all(map(shutil.which, ("etcd", "go"))) and CLIENT.is_dir() and SOURCE.is_dir()
        return "" if found else NEEDED

    @staticmethod
    def version() -> str:
        """As it says itself."""
        return words_of("etcd", "--version").splitlines()[0].replace("etcd Version: ", "etcd ")

    def command(self, node: NodeAddress) -> Command:
        """A member of a cluster that is new, or found again in its data directory."""
        members = (f"{each.name}=http://{each.peer}" for each in self.nodes)
        options = {
            "name": node.name,
            "data-dir": self.kept(node),
            "listen-client-urls": f"http://{node.client}",
            "advertise-client-urls": f"http://{node.client}",
            "listen-peer-urls": f"http://{node.peer}",
            "initial-advertise-peer-urls": f"http://{node.peer}",
            "initial-cluster": ",".join(members),
            "quota-backend-bytes": QUOTA_BYTES,  # the default of 2 GiB would end a long run
            "log-level": "error",
        }
        return ["etcd", *(f"--{name}={value}" for name, value in options.items())]

    def load_command(self, load: Load, *, is_failing: bool = False) -> Command:
        """With nodes that fail, each connection keeps to a node of its own and tries again."""
        leader = [node for node in self.nodes if not is_failing and node.name == self.leader()]
        return [str(self._load), *load.arguments(node.client for node in leader or self.nodes)]

    def leader(self) -> str:
        """Who says of itself that it leads."""
        found = ""

        def look() -> bool:
            nonlocal found
            found = next((node.name for node in self.nodes if _leads(node)), "")
            return bool(found)

        until(look, "a member of etcd leads")
        return found


def _build(program: Path) -> None:
    """Without the network: Debian has put all libraries into one tree."""
    environment = os.environ | {"GO111MODULE": "off", "GOPATH": str(LIBRARIES), "GOFLAGS": ""}
    subprocess.run(  # noqa: S603 - the go that was found builds what lies here
        ["go", "build", "-o", str(program), "."],  # noqa: S607
        cwd=SOURCE,
        env=environment,
        check=True,
    )


def _leads(node: NodeAddress) -> bool:
    connection = HTTPConnection(node.host, node.client_port, timeout=1.0)
    try:
        connection.request("POST", "/v3/maintenance/status", "{}")
        status = json.loads(connection.getresponse().read())
    except (OSError, HTTPException, ValueError):
        return False
    finally:
        connection.close()
    return bool(status.get("leader")) and status["leader"] == status["header"]["member_id"]
