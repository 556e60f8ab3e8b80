# Builds and takes down a lab of so many real servers with munet, and prints both times in ms. The same as with Mininet.
import asyncio
import logging
import sys
import tempfile
import time

sys.path.pop(0)
from munet.parser import async_build_topology

logging.disable(logging.CRITICAL)


async def main(count, folder):
    nodes = [
        {"name": "client", "connections": [{"to": "outside", "ip": "203.0.113.2/24"}]},
        {
            "name": "router",
            "connections": [{"to": "outside", "ip": "203.0.113.1/24"}, {"to": "lan", "ip": "172.16.0.1/16"}],
        },
        {"name": "director", "connections": [{"to": "lan", "ip": "172.16.0.2/16"}]},
    ]
    for n in range(count):
        address = f"172.16.{1 + n // 250}.{1 + n % 250}/16"
        nodes.append({"name": f"rs{n}", "connections": [{"to": "lan", "ip": address}]})
    networks = [{"name": "outside"}, {"name": "lan"}]
    config = {"config_pathname": f"{folder}/munet.yaml", "topology": {"networks": networks, "nodes": nodes}}
    begun = time.perf_counter()
    net = await async_build_topology(config, rundir=folder)
    built = time.perf_counter()
    await net.async_delete()
    print(f"{(built - begun) * 1e3} {(time.perf_counter() - built) * 1e3}")


with tempfile.TemporaryDirectory() as folder:
    asyncio.run(main(int(sys.argv[1]), folder))
