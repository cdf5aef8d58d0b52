DROP TABLE flushed;
