// FactorModels: first file arrives shortly.
