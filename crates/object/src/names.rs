//! What a name, a label key and a label value may look like, in Kubernetes' words.
