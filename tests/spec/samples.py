"""Specs for the tests of this folder, and short ways to ask about them."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from stages.spec import parse, schema, yaml
from stages.spec.model import App, PodSpec
from stages.spec.problems import Problem, SpecProblems

UID = "7f0c0a3e-6a0e-4f5e-9a57-0d5b0d2f7f10"

SHOP = """\
apiVersion: v1
kind: Pod
metadata:
  name: shop
  uid: 7f0c0a3e-6a0e-4f5e-9a57-0d5b0d2f7f10     # the pod's UUID
spec:
  hostname: shop
  volumes:
    - {name: data, hostPath: {path: /srv/shop}}
    - {name: scratch, emptyDir: {}}
  containers:
    - name: web
      image: images/web.aci
      command: [/usr/bin/shop]
      args: [serve, --port=8080]
      env: [{name: TZ, value: UTC}]
      workingDir: /srv
      ports: [{name: http, containerPort: 8080, hostPort: 80}]
      volumeMounts: [{name: data, mountPath: /data, readOnly: true}]
      resources: {limits: {cpu: 500m, memory: 256Mi}}
      securityContext: {runAsUser: 1000, capabilities: {drop: [ALL]}, readOnlyRootFilesystem: true}
stage0:
  stage1: crun
  overlay: auto
  privateUsers: auto
  inheritEnv: false
  env: {LANG: C.UTF-8}
  net: [default]
  interactive: false
  mdsRegister: false
  localConfig: null
  podManifest: null
"""

# The least that is a pod.
PLAIN: Mapping[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "plain", "uid": UID},
    "spec": {"containers": [{"name": "web", "image": "images/web.aci"}]},
}


def spec(
    *, metadata: Any = None, spec: Any = None, app: Any = None, stage0: Any = None, second: Any = None
) -> dict[str, Any]:
    """PLAIN with more in it. second: a second app."""
    data = copy.deepcopy(dict(PLAIN))
    data["metadata"].update(metadata or {})
    data["spec"]["containers"][0].update(app or {})
    data["spec"].update(spec or {})
    if second is not None:
        data["spec"]["containers"].append({"name": "db", "image": "images/db.aci", **second})
    if stage0 is not None:
        data["stage0"] = stage0
    return data


def text_of(data: Any) -> bytes:
    """As JSON, which YAML 1.2 contains: every string is quoted."""
    return json.dumps(data, indent=1).encode()


def problems(data: Any) -> list[Problem]:
    return schema.problems(yaml.load(text_of(data), "pod.yaml"))


def told(data: Any) -> list[str]:
    """Path and message of every problem."""
    return [f"{problem.path}: {problem.message}" for problem in problems(data)]


def the_problem(data: Any) -> Problem:
    found = problems(data)
    assert len(found) == 1, found
    return found[0]


def pod(data: Any) -> PodSpec:
    return parse.parse(parse.validated(text_of(data), Path("pod.yaml")), Path("pod.yaml"))


def app(data: Any) -> App:
    return pod(data).apps[0]


def refusal(text: str | bytes) -> SpecProblems:
    """What loading this YAML raises."""
    with pytest.raises(SpecProblems) as caught:
        yaml.load(text.encode() if isinstance(text, str) else text, "pod.yaml")
    return caught.value
