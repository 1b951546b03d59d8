#!/bin/bash
# Lints and renders the chart over the values that change its shape. With TEST_KUBECONFIG, has that cluster's API server check every rendered object.
# usage: hack/chart.sh        environment: TEST_KUBECONFIG, KUBECTL (kubectl), EXCHANGE_KERNEL_CACHE
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source kind-node/common.sh
source kind-node/binaries.sh

CHART=$ROOT/charts/exchange-kernel
NAMESPACE=exchange-kernel-chart
WATCHED=(exchange-kernel-chart-a exchange-kernel-chart-b)
POLICY=admissionregistration.k8s.io/v1/MutatingAdmissionPolicy
NO_POLICIES=$(sed -nE '/^policies:/,/^$/s/^  ([a-z]+): (true|false)$/policies.\1=false/p' "$CHART/values.yaml" | paste -sd,)
MATRIX=( # name: flags
  "defaults:"
  "everything: --set simulatedExchange.enabled=true,simulatedExchange.account.enabled=true,owner=desk-7,log.format=text,log.level=DEBUG,journal.persistentVolumeClaim=journal,image.digest=sha256:$(printf '0%.0s' {1..64}),imagePullSecrets[0].name=pull,priorityClassName=system-cluster-critical,extraArgs[0]=--lease-seconds=8,operatorUsers[0]=desk-operator,allowedEndpoints[0]=gateway.example.com:8443,policies.use=true,rbac.aggregateToEdit=true,nodeSelector.disk=fast,podLabels.team=desk,podAnnotations.note=x,service.annotations.note=x,serviceAccount.annotations.note=x"
  "namespaced: --set watch.namespaces={${WATCHED[0]},${WATCHED[1]}}"
  "namespaced without cluster rights: --set watch.namespaces={${WATCHED[0]}},owner=desk-7,crds.enabled=false,$NO_POLICIES,rbac.userRoles=false"
  "nothing of its own: --set crds.enabled=false,$NO_POLICIES,rbac.create=false,rbac.userRoles=false,serviceAccount.create=false,serviceAccount.name=given"
)

find_helm

render() { # NAME FLAG...
  "$HELM" template exchange-kernel "$CHART" --namespace "$NAMESPACE" --api-versions "$POLICY" "${@:2}" >"$SCRATCH/$1.yaml"
}

# What must be in a rendering, or must not.
expect() { grep -qE -- "$2" "$SCRATCH/$1.yaml" || die "chart, $1: nothing matches $2"; }
refuse() { if grep -nE -- "$2" "$SCRATCH/$1.yaml" >&3; then die "chart, $1: $2 is there"; fi; }

for entry in "${MATRIX[@]}"; do
  name=${entry%%:*}
  read -ra flags <<<"${entry#*:}"
  "$HELM" lint --strict --quiet "$CHART" --namespace "$NAMESPACE" "${flags[@]}" >&3
  render "$name" "${flags[@]}"
  say "$name: $(grep -c '^kind:' "$SCRATCH/$name.yaml") objects"
done
"$HELM" template exchange-kernel "$CHART" --namespace "$NAMESPACE" >"$SCRATCH/before 1.36.yaml"
"$HELM" template exchange-kernel "$CHART" --namespace "$NAMESPACE" --set crds.keep=false >"$SCRATCH/crds not kept.yaml"

expect defaults '--all-namespaces'
expect defaults 'helm.sh/resource-policy: keep'
expect defaults 'kind: MutatingAdmissionPolicy$'
expect defaults 'kind: ValidatingAdmissionPolicy$'
expect defaults 'expression: .\["system:serviceaccount:exchange-kernel-chart:exchange-kernel"\]'
expect everything 'expression: .\["system:serviceaccount:exchange-kernel-chart:exchange-kernel","desk-operator"\]'
refuse defaults 'check\(.use.\)'
expect everything 'check\(.use.\)'
expect everything '--journal=/var/lib/exchange-kernel/journal.jsonl'
expect everything '--allow-endpoint=gateway.example.com:8443'
refuse defaults '--allow-endpoint'
refuse defaults '--journal'
refuse 'before 1.36' 'kind: MutatingAdmissionPolicy'
# Where nothing stamps a person's word, the operator must not wait for the stamp; there the policy asks for the verb all the same.
expect defaults '--require-resolve-stamp'
refuse 'before 1.36' '--require-resolve-stamp'
expect 'before 1.36' 'name: exchange-kernel-resolve$'
refuse 'nothing of its own' '--require-resolve-stamp'
refuse 'crds not kept' 'helm.sh/resource-policy: keep'
expect namespaced "--namespace=${WATCHED[1]}"
expect namespaced 'kubernetes.io/metadata.name'
refuse 'namespaced without cluster rights' 'kind: (Cluster|CustomResource|Mutating|Validating)'
refuse 'nothing of its own' 'kind: (Cluster|CustomResource|Mutating|Validating|Role|ServiceAccount$)'

traders() { grep -c 'aggregate-to-edit' "$SCRATCH/$1.yaml"; } # beside exchange-kernel-view, which always joins it
[ "$(traders defaults) $(traders everything)" = "1 2" ] || die "chart: who has the cluster's edit trades by default, or does not where it is asked for"

# The same rights as in manifests/, rule by rule.
rules() { sed -n 's/^ *\(- \)\?\(\(apiGroups\|resources\|resourceNames\|verbs\): .*\)/\2/p' "$1" | paste -sd' ' | sed 's/ apiGroups/\napiGroups/g' | sort; }
"$HELM" template exchange-kernel "$CHART" --set crds.enabled=false,$NO_POLICIES,rbac.userRoles=false >"$SCRATCH/operator.yaml"
diff <(rules "$ROOT/manifests/rbac/operator.yaml") <(rules "$SCRATCH/operator.yaml") >&3 || die "the chart's rules differ from manifests/rbac/operator.yaml (above)"
say "the same rights as in manifests/"

for wrong in imge.tag=x image.tga=x terminationGracePeriodSeconds=5 watch.namespaces=all log.level=LOUD journal.path=x 'allowedEndpoints[0]=https://gateway.example.com' 'allowedEndpoints[0]=*' policies.use=true,policies.creator=false; do
  if "$HELM" template exchange-kernel "$CHART" --set "$wrong" >/dev/null 2>&1; then die "the chart takes a wrong value: $wrong"; fi
done
say "wrong values are refused"

if [ -z "${TEST_KUBECONFIG-}" ]; then
  say "no TEST_KUBECONFIG: not checked by an API server"
  exit
fi

kubectl() { "${KUBECTL:-kubectl}" --kubeconfig "$TEST_KUBECONFIG" "$@"; }

if [ -z "$(kubectl get crd --ignore-not-found orderintents.exchange-kernel.io)" ]; then # a dry run of an account needs its CRD
  AT_EXIT+=("kubectl delete -k $ROOT/crds --ignore-not-found >/dev/null")
  kubectl apply --server-side -k "$ROOT/crds" >/dev/null
fi
kubectl wait --for=condition=Established crd/orderintents.exchange-kernel.io crd/exchangeaccounts.exchange-kernel.io --timeout=30s >/dev/null
AT_EXIT+=("kubectl delete namespace --ignore-not-found --wait=false $NAMESPACE ${WATCHED[*]} >/dev/null")
for namespace in "$NAMESPACE" "${WATCHED[@]}"; do
  kubectl create namespace "$namespace" --dry-run=client -o yaml | kubectl apply -f - >/dev/null
done
# pods are not created by a dry run, so their security context is checked where it would be refused
kubectl label namespace "$NAMESPACE" pod-security.kubernetes.io/enforce=restricted pod-security.kubernetes.io/warn=restricted --overwrite >/dev/null
if ! kubectl get --raw /apis/admissionregistration.k8s.io/v1 | grep MutatingAdmissionPolicy >/dev/null; then
  say "this API server has no $POLICY: left out"
  POLICY=v1
fi
for entry in "${MATRIX[@]}"; do
  name=${entry%%:*}
  read -ra flags <<<"${entry#*:}"
  render "$name" "${flags[@]}"
  kubectl apply --dry-run=server --validate=strict -f "$SCRATCH/$name.yaml" >"$SCRATCH/applied" 2>"$SCRATCH/warned" || {
    cat "$SCRATCH/warned" >&3
    die "chart, $name: the API server refuses it"
  }
  # every object that was there before lacks kubectl's annotation: that is no fault of the chart's
  if grep -v 'last-applied-configuration' "$SCRATCH/warned" >&3; then die "chart, $name: the API server warns"; fi
  say "$name: the API server takes all $(wc -l <"$SCRATCH/applied")"
done
