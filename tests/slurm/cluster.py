"""A SLURM of one's own: munged, slurmctld and two slurmd on 127.0.0.1, in a temporary directory.

For tests, also as root in a container without systemd. Nothing of it outlives the process that
started it, and it meets no other SLURM of the machine: ports, key and socket are its own.
"""
import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

DAEMONS = ("munged", "slurmctld", "slurmd")
CLIENTS = ("sbatch", "srun", "scontrol", "squeue", "scancel", "sinfo")
SBIN = "/usr/sbin:/sbin:/usr/local/sbin"  # not in the PATH of every user
START_SECONDS = 600

# Two nodes on one machine: jobs get the first, or both in partition `both`, where mpirun takes them
# for two machines. Two jobs of two ranks fit at once on a node, whatever it has, so that a job that
# waits keeps none from running. A requeued job starts again once the credential of its last start
# has expired: after two minutes by default. No cgroups: they need systemd or rights that containers
# lack.
CONFIGURATION = """
ClusterName=relgrad
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
TmpFS={folder}/tmp-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/pgid
TaskPlugin=task/none
MpiDefault=pmix
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SwitchType=switch/none
ReturnToService=2
KillWait=5
MinJobAge=600
JobRequeue=1
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
NodeName={host} NodeHostname={host} NodeAddr=127.0.0.1 Port={port_1} CPUs=4 State=UNKNOWN
NodeName={other} NodeHostname={host} NodeAddr=127.0.0.1 Port={port_2} CPUs=4 State=UNKNOWN
PartitionName=first Nodes={host} Default=YES MaxTime=INFINITE State=UP
PartitionName=both Nodes={host},{other} MaxTime=INFINITE State=UP
"""


def missing_programs():
    """What of SLURM and munge is not installed here."""
    return [name for name in (*DAEMONS, *CLIENTS) if find(name) is None]


def find(program):
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:{SBIN}")


def free_ports(count):
    """Ports of 127.0.0.1 that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def die_with_parent():
    """Has the kernel end this process when the one that started it ends, however that ends."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1: PR_SET_PDEATHSIG


class Cluster:
    """Starts with the object; stop() ends the daemons and whatever their jobs left."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="slurm-"))  # short: it holds sockets
        self.folder.chmod(0o755)
        self.daemons = []
        self.configuration = self.folder / "slurm.conf"
        self.environment = {**os.environ, "SLURM_CONF": str(self.configuration)}
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self):
        controller_port, port_1, port_2 = free_ports(3)
        host = socket.gethostname().split(".")[0]
        other = f"{host}-other"
        for name in ("state", f"spool-{host}", f"spool-{other}", f"tmp-{host}", f"tmp-{other}"):
            (self.folder / name).mkdir(mode=0o755)
        self.configuration.write_text(CONFIGURATION.format(
            host=host, other=other, controller_port=controller_port, port_1=port_1, port_2=port_2,
            folder=self.folder, user=os.getuid()))
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        self._daemon("munged", "--foreground", "--force", "--key-file", key,
                     "--socket", self.folder / "munge.socket", "--num-threads", 2,
                     "--pid-file", self.folder / "munge.pid",
                     "--seed-file", self.folder / "munge.seed",
                     "--log-file", self.folder / "munge.log")
        self._wait(lambda: (self.folder / "munge.socket").exists(), "munged")
        self._daemon("slurmctld", "-D", "-f", self.configuration)
        for node in (host, other):
            self._daemon("slurmd", "-D", "-f", self.configuration, "-N", node)
        self._wait(lambda: self.call("sinfo", "-h", "-p", "both", "-o", "%D %t", check=False)
                   == "2 idle", "nodes")

    def _daemon(self, name, *words):
        with open(self.folder / f"{name}-{len(self.daemons)}.out", "wb") as out:
            # pylint: disable=subprocess-popen-preexec-fn
            self.daemons.append(subprocess.Popen(
                [find(name), *map(str, words)], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                env=self.environment, start_new_session=True, preexec_fn=die_with_parent))

    def _wait(self, condition, what):
        end = time.monotonic() + START_SECONDS
        while not condition():
            ended = [daemon.args[0] for daemon in self.daemons if daemon.poll() is not None]
            if ended or time.monotonic() > end:
                why = f"{ended[0]} ended" if ended else f"no {what} after {START_SECONDS} s"
                raise RuntimeError(f"SLURM does not start: {why}\n{self.logs()}")
            time.sleep(0.1)

    def call(self, program, *words, check=True, folder=None, **environment):
        """What a client of this SLURM prints; called in `folder`."""
        result = subprocess.run([find(program), *map(str, words)], capture_output=True, text=True,
                                env={**self.environment, **environment}, cwd=folder, timeout=600,
                                check=False)
        if check and result.returncode != 0:
            raise RuntimeError(f"{result.args}: exit code {result.returncode}\n"
                               f"{result.stdout}{result.stderr}")
        return result.stdout.strip()

    def job(self, number):
        """What SLURM knows of a job: scontrol's words."""
        text = self.call("scontrol", "show", "job", "--oneliner", number)
        return dict(word.split("=", 1) for word in text.split() if "=" in word)

    def logs(self):
        return "\n".join(f"--- {path.name}\n{path.read_text(errors='replace')[-3000:]}"
                         for pattern in ("*.out", "*.log")
                         for path in sorted(self.folder.glob(pattern)))

    def stop(self):
        """Ends jobs, daemons and everything that was started for this SLURM."""
        for daemon in reversed(self.daemons):
            daemon.terminate()
        for daemon in self.daemons:
            try:
                daemon.wait(timeout=5)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        for pid in self.left_processes():
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def left_processes(self):
        """Processes that carry the name of this SLURM's configuration: jobs and their keepers."""
        mark = f"SLURM_CONF={self.configuration}\0".encode()
        found = []
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if mark in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:  # gone meanwhile, or not ours to read
                pass
        return found
