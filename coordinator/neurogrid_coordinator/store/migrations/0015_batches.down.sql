drop table batch_items;
drop table batches;
