"""How a collection lives in Milvus; `indexes.milvus_collection` puts it together."""
