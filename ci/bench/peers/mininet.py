# Builds and takes down a lab of so many real servers with Mininet and its Linux bridge, and prints both times in ms.
# Less than drlab's: no VIP, no sysctls, one namespace of the kernel's for each node. To be started in namespaces of its own.
import sys
import time

import mininet.net
from mininet.nodelib import LinuxBridge

# It would raise limits of the whole machine.
mininet.net.fixLimits = lambda: None

count = int(sys.argv[1])
begun = time.perf_counter()
net = mininet.net.Mininet(switch=LinuxBridge, controller=None, waitConnected=False)
outside, lan = net.addSwitch("s1"), net.addSwitch("s2")
client = net.addHost("client", ip="203.0.113.2/24", defaultRoute="via 203.0.113.1")
router = net.addHost("router", ip="203.0.113.1/24")
director = net.addHost("director", ip="172.16.0.2/16", defaultRoute="via 172.16.0.1")
net.addLink(client, outside)
net.addLink(router, outside)
net.addLink(router, lan, params1={"ip": "172.16.0.1/16"})
net.addLink(director, lan)
for n in range(count):
    address = f"172.16.{1 + n // 250}.{1 + n % 250}/16"
    net.addLink(net.addHost(f"rs{n}", ip=address, defaultRoute="via 172.16.0.1"), lan)
net.start()
built = time.perf_counter()
net.stop()
print(f"{(built - begun) * 1e3} {(time.perf_counter() - built) * 1e3}")
