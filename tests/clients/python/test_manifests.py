"""The manifests in packaging/kubernetes/, by the schemas of Kubernetes and by what agent-sandbox's own client would send.

The definitions of agent-sandbox's own resources are on no registry of packages but Go's, and are not looked at here.
"""

import copy
import pathlib
import unittest

import kubernetes_validate
import yaml
from k8s_agent_sandbox.k8s_helper import K8sHelper

FOLDER = pathlib.Path(__file__).resolve().parents[3] / "packaging/kubernetes"
VERSIONS = [f"1.{minor}" for minor in range(30, 38)]
GROUP = "extensions.agents.x-k8s.io"


def documents():
    """All resources by their kinds."""
    texts = [path.read_text() for path in sorted(FOLDER.glob("*.yaml"))]
    found = [resource for text in texts for resource in yaml.safe_load_all(text)]
    assert len({resource["kind"] for resource in found}) == len(found)
    return {resource["kind"]: resource for resource in found}


def pods(resources):
    """The pods that the resources make."""
    for template in (
        resources["Deployment"]["spec"]["template"],
        resources["SandboxTemplate"]["spec"]["podTemplate"],
    ):
        metadata = {**template["metadata"], "name": "pod"}
        yield {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


class Schemas(unittest.TestCase):
    def setUp(self):
        self.resources = documents()

    def test_kubernetes_knows_every_field(self):
        own = [resource for resource in self.resources.values() if not resource["apiVersion"].startswith(GROUP)]
        self.assertEqual(len(own), 3)
        for resource in [*own, *pods(self.resources)]:
            for version in VERSIONS:
                with self.subTest(kind=resource["kind"], version=version):
                    kubernetes_validate.validate(resource, version, strict=True)

    def test_a_field_that_is_not_known_is_found(self):
        for pod in pods(self.resources):
            wrong = copy.deepcopy(pod)
            wrong["spec"]["containers"][0]["securityContext"]["readOnlyRootFileSystem"] = True
            with self.assertRaises(kubernetes_validate.ValidationError):
                kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


class Meaning(unittest.TestCase):
    def setUp(self):
        self.resources = documents()

    def test_the_claim_is_what_the_client_would_send(self):
        sent = []

        class Cluster(K8sHelper):
            def __init__(self):
                self.custom_objects_api = self

            def create_namespaced_custom_object(self, **request):
                sent.append(request["body"])

        claim = self.resources["SandboxClaim"]
        pool = self.resources["SandboxWarmPool"]
        Cluster().create_sandbox_claim(claim["metadata"]["name"], pool["metadata"]["name"], "default")
        for part in ("apiVersion", "kind", "spec"):
            self.assertEqual(claim[part], sent[0][part])

    def test_each_names_what_there_is(self):
        resources = self.resources
        template, pool = resources["SandboxTemplate"], resources["SandboxWarmPool"]
        self.assertEqual(pool["spec"]["sandboxTemplateRef"]["name"], template["metadata"]["name"])
        deployment, service, policy = (resources[kind]["spec"] for kind in ("Deployment", "Service", "NetworkPolicy"))
        labels = deployment["template"]["metadata"]["labels"]
        for selector in (deployment["selector"]["matchLabels"], service["selector"], policy["podSelector"]["matchLabels"]):
            self.assertLessEqual(selector.items(), labels.items())
        (port,) = deployment["template"]["spec"]["containers"][0]["ports"]
        self.assertEqual(service["ports"][0]["targetPort"], port["name"])
        self.assertEqual(policy["ingress"][0]["ports"][0]["port"], port["containerPort"])

    def test_pods_keep_to_the_restricted_standard(self):
        for pod in pods(self.resources):
            spec = pod["spec"]
            (container,) = spec["containers"]
            self.assertTrue(spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] > 0)
            self.assertEqual(spec["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
            own = container["securityContext"]
            self.assertEqual(own["capabilities"], {"drop": ["ALL"]})
            self.assertIs(own["allowPrivilegeEscalation"], False)
            self.assertIs(own["readOnlyRootFilesystem"], True)
            self.assertIs(spec["automountServiceAccountToken"], False)
            self.assertFalse({"hostNetwork", "hostPID", "hostIPC"} & spec.keys())
            for volume in spec["volumes"]:
                self.assertTrue({"emptyDir", "secret"} & volume.keys(), volume)
            mounted = {mount["name"] for mount in container["volumeMounts"]}
            self.assertEqual(mounted, {volume["name"] for volume in spec["volumes"]})
            (port,) = container["ports"]
            self.assertIn(f"--http=0.0.0.0:{port['containerPort']}", container["args"])
            self.assertEqual(container["readinessProbe"]["httpGet"]["port"], port["name"])


if __name__ == "__main__":
    unittest.main()
