"""Every test of the suites that others prove their Raft and key/value stores with has one here."""

import re
from pathlib import Path

MIT_LAB_2 = "TestMemPutManyClientsReliable TestUnreliableNet"
"""Of the single server; its other tests are of a put that names a version, and of locks on it."""

MIT_LAB_3 = """
TestInitialElection3A TestReElection3A TestManyElections3A
TestBasicAgree3B TestRPCBytes3B TestFollowerFailure3B TestLeaderFailure3B TestFailAgree3B
TestFailNoAgree3B TestConcurrentStarts3B TestRejoin3B TestBackup3B TestCount3B
TestPersist13C TestPersist23C TestPersist33C TestFigure83C TestUnreliableAgree3C
TestFigure8Unreliable3C TestReliableChurn3C TestUnreliableChurn3C
TestSnapshotBasic3D TestSnapshotInstall3D TestSnapshotInstallUnreliable3D
TestSnapshotInstallCrash3D TestSnapshotInstallUnCrash3D TestSnapshotAllCrash3D TestSnapshotInit3D
"""

MIT_LAB_4 = """
TestBasic4A TestConcurrent4A TestLeaderFailure4A TestLeaderPartition4A TestRestartReplay4A
TestShutdown4A TestRestartSubmit4A TestSnapshot4C
TestBasic4B TestSpeed4B TestConcurrent4B TestUnreliable4B TestOnePartition4B
TestManyPartitionsOneClient4B TestManyPartitionsManyClients4B TestPersistOneClient4B
TestPersistConcurrent4B TestPersistConcurrentUnreliable4B TestPersistPartition4B
TestPersistPartitionUnreliable4B TestPersistPartitionUnreliableLinearizable4B
TestSnapshotRPC4C TestSnapshotSize4C TestSpeed4C TestSnapshotRecover4C
TestSnapshotRecoverManyClients4C TestSnapshotUnreliable4C TestSnapshotUnreliableRecover4C
TestSnapshotUnreliableRecoverConcurrentPartition4C
TestSnapshotUnreliableRecoverConcurrentPartitionLinearizable4C
"""

TINYKV_2 = """
TestBasic2B TestConcurrent2B TestUnreliable2B TestOnePartition2B TestManyPartitionsOneClient2B
TestManyPartitionsManyClients2B TestPersistOneClient2B TestPersistConcurrent2B
TestPersistConcurrentUnreliable2B TestPersistPartition2B TestPersistPartitionUnreliable2B
TestOneSnapshot2C TestSnapshotRecover2C TestSnapshotRecoverManyClients2C TestSnapshotUnreliable2C
TestSnapshotUnreliableRecover2C TestSnapshotUnreliableRecoverConcurrentPartition2C
"""


def test_every_test_of_mit_and_tinykv_has_its_namesake():
    """By name: TestFigure83C is test_figure_8_3c."""
    files = Path(__file__).parent.glob("test_*.py")
    ours = {
        name.replace("_", "")
        for file in files
        for name in re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)
    }
    theirs = f"{MIT_LAB_2} {MIT_LAB_3} {MIT_LAB_4} {TINYKV_2}".split()
    assert [name for name in theirs if name.lower() not in ours] == []
