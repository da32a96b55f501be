"""What the environment of a process tells about its job."""

import pytest

import minijax as jax
from minijax.distributed.clusters import Cluster, detect
from tests.helpers import error_of


@pytest.mark.parametrize("env, expected", [
    ({"JAX_COORDINATOR_ADDRESS": "h:1", "JAX_NUM_PROCESSES": "4", "JAX_PROCESS_ID": "2"},
     Cluster("h:1", 4, 2)),
    ({"SLURM_JOB_ID": "1000", "SLURM_STEP_NODELIST": "node[007-015,020]", "SLURM_NTASKS": "8",
      "SLURM_PROCID": "3", "SLURM_LOCALID": "1"}, Cluster("node007:62440", 8, 3, (1,))),
    ({"SLURM_JOB_ID": "4096", "SLURM_STEP_NODELIST": "alpha,beta", "SLURM_NTASKS": "2",
      "SLURM_PROCID": "0"}, Cluster("alpha:61440", 2, 0)),
    ({"OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://10.96.0.1,10.148.0.1:34911",
      "OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "1",
      "OMPI_COMM_WORLD_LOCAL_RANK": "0"}, Cluster("10.96.0.1:61440", 4, 1, (0,))),
    ({"TPU_WORKER_HOSTNAMES": "a,b", "TPU_WORKER_ID": "1"}, Cluster("a:8476", 2, 1)),
    ({"TPU_WORKER_HOSTNAMES": "a,b", "TPU_WORKER_ID": "1", "MEGASCALE_NUM_SLICES": "2",
      "MEGASCALE_SLICE_ID": "1", "MEGASCALE_COORDINATOR_ADDRESS": "c:80"},
     Cluster("c:8476", 4, 3)),
    ({}, None),
])
def test_detection(env, expected):
    assert detect(env=env) == expected


def test_kubernetes_names_the_first_pod():
    env = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "2",
           "HOSTNAME": "train-2", "JAX_NUM_PROCESSES": "4"}
    found = detect("k8s", env)
    assert found.coordinator_address.startswith("train-0") and found[1:3] == (4, 2)


def test_errors():
    assert not jax.distributed.is_initialized()
    assert "unknown cluster_detection_method" in error_of(ValueError, detect, "pbs")
    jax.devices()
    text = error_of(RuntimeError, jax.distributed.initialize, "h:1", 2, 0)
    assert "must be called before any JAX calls" in text
