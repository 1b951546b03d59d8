module exchange-kernel.io/hack/kind-node/pause

go 1.26.0
