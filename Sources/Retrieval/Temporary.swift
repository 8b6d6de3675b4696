import Artifacts
import NearestNeighbors
import VectorMath

extension HNSWIndex {
    convenience init(bundle: Bundle, name: String, vectors: FactorMatrix) throws(ArtifactError) { fatalError() }
}
