import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gantryDefinitions } from '../../api/mod.ts';
import { Kubectl, kubectlMissing } from './testing/kubectl.ts';

const skip = kubectlMissing();

/** A command and what its output must look like; an exit code other than 0 is asked for by name. */
interface Step { readonly args: string; readonly input?: string; readonly out?: RegExp; readonly err?: RegExp; readonly code?: number }

async function play(kubectl: Kubectl, steps: readonly Step[]): Promise<void> {
  for (const { args, input, out, err, code = 0 } of steps) {
    const result = await kubectl.run(args.split(' '), input);
    const shown = `kubectl ${args}\n${result.stdout}${result.stderr}`;
    assert.equal(result.code, code, shown);
    if (out !== undefined) assert.match(result.stdout, out, shown);
    if (err !== undefined) assert.match(result.stderr, err, shown);
  }
}

const web = (replicas: number, image: string): string => `
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, labels: { app: web } }
spec:
  replicas: ${replicas}
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      containers:
        - name: c
          image: ${image}
          ports: [{ containerPort: 80 }]
          resources: { requests: { cpu: 250m, memory: 64Mi } }
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { type: NodePort, selector: { app: web }, ports: [{ port: 80, nodePort: 30080 }] }
`;

test('kubectl applies, shows, changes and deletes', { skip }, async () => {
  await using kubectl = await Kubectl.open();
  await play(kubectl, [
    { args: 'apply -f -', input: web(2, 'nginx:1'), out: /^deployment\.apps\/web created\nservice\/web created\n$/ },
    { args: 'apply -f -', input: web(2, 'nginx:1'), out: /^deployment\.apps\/web unchanged\nservice\/web unchanged\n$/ },
    { args: 'diff -f -', input: web(3, 'nginx:1'), code: 1, out: /-  replicas: 2\n\+  replicas: 3/ },
    { args: 'apply -f -', input: web(3, 'nginx:2'), out: /^deployment\.apps\/web configured\nservice\/web unchanged\n$/ },
    { args: 'get deployments', out: /^NAME\s+READY\s+UP-TO-DATE\s+AVAILABLE\s+AGE\nweb\s+0\/3\s+0\s+0\s+\d+s\n$/ },
    { args: 'get deploy,svc -o wide', out: /CONTAINERS\s+IMAGES\s+SELECTOR\n.*c\s+nginx:2\s+app=web\n[\s\S]*80:30080\/TCP/ },
    { args: 'get deploy web -o jsonpath={.spec.template.spec.containers[0].resources.requests.cpu}', out: /^250m$/ },
    { args: 'get all -l app=web -o name', out: /^deployment\.apps\/web\n$/ },
    { args: 'scale deploy/web --replicas=5', out: /scaled/ },
    { args: 'label deploy web tier=front', out: /labeled/ },
    { args: 'annotate deploy web note=hello', out: /annotated/ },
    { args: 'set image deploy/web c=nginx:3', out: /image updated/ },
    { args: 'set env deploy/web A=b', out: /env updated/ },
    { args: 'patch deploy web -p {"spec":{"minReadySeconds":3}}', out: /patched/ },
    { args: 'patch deploy web --type=json -p [{"op":"remove","path":"/spec/minReadySeconds"}]', out: /patched/ },
    { args: 'edit deploy web', err: /Edit cancelled, no changes made/ },
    { args: 'get deploy web -o go-template={{.spec.replicas}}/{{.metadata.labels.tier}}/{{.metadata.generation}}', out: /^5\/front\/7$/ },
    { args: 'describe deploy web', out: /Name:\s+web\n[\s\S]*Replicas:\s+5 desired[\s\S]*Image:\s+nginx:3[\s\S]*A:\s+b/ },
    { args: 'describe svc web', out: /NodePort:\s+<unset>\s+30080\/TCP/ },
    { args: 'rollout history deploy web', out: /No rollout history found/ },
    { args: 'rollout pause deploy web', out: /paused/ },
    { args: 'rollout restart deploy web', code: 1, err: /can't restart paused deployment/ },
    { args: 'rollout resume deploy web', out: /resumed/ },
    { args: 'rollout restart deploy web', out: /restarted/ },
    { args: 'replace -f -', input: web(1, 'nginx:4'), out: /replaced/ },
    { args: 'delete -f -', input: web(1, 'nginx:4'), out: /deployment\.apps "web" deleted/ },
    { args: 'get deploy web', code: 1, err: /Error from server \(NotFound\): deployments\.apps "web" not found/ },
  ]);
});

test('kubectl creates with typed commands, which send protobuf', { skip }, async () => {
  await using kubectl = await Kubectl.open();
  await play(kubectl, [
    { args: 'create namespace demo', out: /namespace\/demo created/ },
    { args: 'create configmap settings --from-literal=a=b --from-literal=c=d -n demo', out: /configmap\/settings created/ },
    { args: 'get configmap -n demo', out: /NAME\s+DATA\s+AGE\nsettings\s+2\s/ },
    { args: 'create secret generic key --from-literal=password=x -n demo', out: /secret\/key created/ },
    { args: 'get secret key -n demo -o jsonpath={.type}/{.data.password}', out: /^Opaque\/eA==$/ },
    { args: 'create deployment web --image=nginx --replicas=2 --port=80 -n demo', out: /deployment\.apps\/web created/ },
    { args: 'get deploy web -n demo -o jsonpath={.spec.replicas}/{.spec.template.spec.containers[0].ports[0].containerPort}/{.spec.template.spec.containers[0].imagePullPolicy}', out: /^2\/80\/Always$/ },
    { args: 'expose deploy web --port=80 --target-port=8080 -n demo', out: /service\/web exposed/ },
    { args: 'create serviceaccount robot -n demo', out: /serviceaccount\/robot created/ },
    { args: 'create service clusterip other --tcp=80:8080 -n demo', out: /service\/other created/ },
    { args: 'run job --image=busybox --restart=Never --labels=a=b -n demo -- sleep 5', out: /pod\/job created/ },
    { args: 'get pods -n demo -o wide', out: /job\s+0\/1\s+Pending\s+0\s+\d+s\s+<none>\s+<none>\s+<none>\s+<none>/ },
    { args: 'autoscale deploy web --min=1 --max=3 --cpu-percent=50 -n demo', out: /autoscaled/ },
    { args: 'get hpa -n demo', out: /Deployment\/web\s+cpu: <unknown>\/50%\s+1\s+3\s+0/ },
    { args: 'create role reader --verb=get,list --resource=pods -n demo', out: /role\.rbac\.authorization\.k8s\.io\/reader created/ },
    { args: 'create rolebinding reader --role=reader --serviceaccount=demo:robot -n demo', out: /rolebinding\.rbac\.authorization\.k8s\.io\/reader created/ },
    { args: 'auth can-i list pods -n demo --as=system:serviceaccount:demo:robot', out: /^yes\n$/ },
    { args: 'auth can-i delete pods -n demo --as=system:serviceaccount:demo:robot', code: 1, out: /^no/ },
    { args: 'create token robot -n demo', out: /^ey[\w.-]+\s*$/ },
    { args: 'create priorityclass high --value=100', out: /priorityclass\.scheduling\.k8s\.io\/high created/ },
    { args: 'auth can-i create pods', out: /^yes\n$/ },
    { args: 'auth whoami -o jsonpath={.status.userInfo.username}', out: /^admin$/ },
    { args: 'delete pod job -n demo', out: /pod "job" deleted/ },
    { args: 'create configmap settings -n demo', code: 1, err: /Error from server \(AlreadyExists\)|error: failed to create configmap: configmaps "settings" already exists/ },
  ]);
});

test('kubectl discovers and explains', { skip }, async () => {
  await using kubectl = await Kubectl.open();
  await play(kubectl, [
    { args: 'apply -f -', input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items: gantryDefinitions }), out: /customresourcedefinition\.apiextensions\.k8s\.io\/repositories\.gantry\.dev created/ },
    { args: 'wait --for=condition=Established crd/repositories.gantry.dev --timeout=10s', out: /condition met/ },
    { args: 'api-resources', out: /repositories\s+repo\s+gantry\.dev\/v1\s+true\s+Repository/ },
    { args: 'api-versions', out: /^apiextensions\.k8s\.io\/v1$/m },
    { args: 'explain pod.spec.containers.livenessProbe', out: /FIELD: livenessProbe <Probe>[\s\S]*initialDelaySeconds\s+<integer>/ },
    { args: 'explain deployment.spec.strategy.rollingUpdate', out: /maxSurge\s+<(IntOrString|string)>/ },
    { args: 'explain repository.spec', out: /defaultBranch\s+<string>/ },
    { args: 'apply -f -', input: 'apiVersion: gantry.dev/v1\nkind: Repository\nmetadata: { name: shop }\nspec: {}\n', out: /repository\.gantry\.dev\/shop created/ },
    { args: 'get repo', out: /NAME\s+BRANCH\s+COMMIT.*\nshop\s+main/ },
    { args: 'apply -f -', input: 'apiVersion: gantry.dev/v1\nkind: Repository\nmetadata: { name: shop }\nspec: { protectedBranches: [main] }\n', out: /configured/ },
    { args: 'apply -f -', input: 'apiVersion: gantry.dev/v1\nkind: Repository\nmetadata: { name: shop }\nspec: { branch: main }\n', code: 1, err: /unknown field "spec\.branch"/ },
    { args: 'apply -f -', input: 'apiVersion: v1\nkind: Pod\nmetadata: { name: p }\nspec: { containers: [{ name: c }] }\n', code: 1, err: /The Pod "p" is invalid: spec\.containers\[0\]\.image: Required value/ },
    { args: 'apply -f -', input: 'apiVersion: v1\nkind: Sandwich\nmetadata: { name: p }\n', code: 1, err: /no matches for kind "Sandwich" in version "v1"/ },
    { args: 'version', out: /Server Version: v1\.\d+\.\d+\+gantry/ },
    { args: 'get --raw /readyz', out: /^ok/ },
    { args: 'get ns --watch --request-timeout=1s', out: /default\s+Active/ },
    { args: 'get events -A', err: /No resources found/ },
    { args: 'cluster-info', out: /is running at/ },
  ]);
});
