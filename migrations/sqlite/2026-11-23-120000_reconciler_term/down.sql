DROP TABLE reconciler_term;
