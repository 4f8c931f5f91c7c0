//! What is applied in the virtual cluster on a real host.

pub(super) const PEERS: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: peers}
spec: {clusterIP: None, selector: {app: peer}, ports: [{name: web, port: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: alias}
spec: {type: ExternalName, externalName: web.default.svc.cluster.local}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: peer}
spec:
  serviceName: peers
  replicas: 2
  selector: {matchLabels: {app: peer}}
  template:
    metadata: {labels: {app: peer}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: peer, image: "registry.k8s.io/e2e-test-images/agnhost:2.63.0", args: [netexec, --http-port=8080]}
"#;

pub(super) const IDENTITY: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: identity}
spec:
  restartPolicy: Never
  containers:
  - name: identity
    image: registry.k8s.io/e2e-test-images/agnhost:2.63.0
    args: [test-service-account-issuer-discovery, --token-path, /var/run/secrets/tokens/sa-token, --audience, oidc-discovery-test]
    volumeMounts: [{name: token, mountPath: /var/run/secrets/tokens}]
  volumes:
  - name: token
    projected: {sources: [{serviceAccountToken: {path: sa-token, expirationSeconds: 7200, audience: oidc-discovery-test}}]}
"#;

pub(super) const GREEDY: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: greedy, annotations: {external-dns.alpha.kubernetes.io/hostname: www.example.org}}
spec: {externalIPs: [10.96.0.1], selector: {app: web}, ports: [{port: 443}]}
"#;

pub(super) const VOLUME: &str = r#"
apiVersion: v1
kind: PersistentVolume
metadata: {name: joey-e2e}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  storageClassName: joey-e2e
  hostPath: {path: /tmp/joey-e2e-volume, type: DirectoryOrCreate}
"#;

pub(super) const KEEPER: &str = r#"
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: keeper}
spec:
  serviceName: keeper
  selector: {matchLabels: {app: keeper}}
  template:
    metadata: {labels: {app: keeper}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: keeper
        image: registry.k8s.io/e2e-test-images/busybox:1.37.0-1
        command: [sleep, "100000"]
        volumeMounts: [{name: data, mountPath: /data}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], storageClassName: joey-e2e, resources: {requests: {storage: 1Gi}}}
"#;

pub(super) const CONFIGURED: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: configured}
spec:
  restartPolicy: Never
  containers:
  - name: configured
    image: registry.k8s.io/e2e-test-images/busybox:1.37.0-1
    command: [sh, -c, 'echo $(cat /settings/colour) $(cat /password/word) $COLOUR $WORD $NS $NAME']
    env:
    - {name: COLOUR, valueFrom: {configMapKeyRef: {name: settings, key: colour}}}
    - {name: WORD, valueFrom: {secretKeyRef: {name: password, key: word}}}
    - {name: NS, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
    - {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    volumeMounts: [{name: settings, mountPath: /settings}, {name: password, mountPath: /password}]
  volumes: [{name: settings, configMap: {name: settings}}, {name: password, secret: {secretName: password}}]
"#;

pub(super) const DAEMON: &str = r#"
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: everywhere}
spec:
  selector: {matchLabels: {app: everywhere}}
  template:
    metadata: {labels: {app: everywhere}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: everywhere
        image: registry.k8s.io/e2e-test-images/busybox:1.37.0-1
        command: [sleep, "100000"]
        resources: {requests: {cpu: 10m}, limits: {cpu: 100m}}
"#;

pub(super) const OWN_ENDPOINTS: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: chosen}
spec: {ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: chosen, labels: {kubernetes.io/service-name: chosen}}
addressType: IPv4
ports: [{port: 8080, protocol: TCP}]
endpoints: [{addresses: ["ADDRESS"], conditions: {ready: true}}]
"#;
