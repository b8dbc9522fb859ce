alter table lead drop column url;
